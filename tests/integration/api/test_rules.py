"""Every CEL rule of the CRDs, asked of a real API server: what it lets pass, and what it says otherwise."""

import pytest

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.schema import structural_schema, walk

from .api_server import ApiServer
from .objects import REMOVED, changed, collection, create, good, remove, try_to_create

pytestmark = pytest.mark.testbed

FRANKFURT = "spec.datacenters.frankfurt.vsphere"
CLOUD = "spec.cloud.vsphere"
UUID = "vsphere://4205a3c0-7d3a-4e8f-9b1a-2f6f0c1d2e3f"
TAGS = [{"name": "a"}, {"name": "a", "category": "x"}, {"name": "a", "category": "y"}]
LONG_NAME = "n" * 81
NETWORK = {"cidr": "10.1.0.0/24", "gateway": "10.1.0.1", "dnsServers": ["10.1.0.2"]}

TEMPLATES = {
    "MachineDeployment": "spec.template.spec.vsphere",
    "MachineSet": "spec.template.spec.vsphere",
    "Machine": "spec.vsphere",
}
WORKERS = ("MachineDeployment", "MachineSet")

NOT_BOTH = "datastore and datastoreCluster exclude each other; remove one of them"
PARTS = "write names with / between them and none at the end"
NO_DOTS = "write the path without . and .."
ABSOLUTE = "the path must be absolute"
TWICE = "the same tag is listed twice"
SYSTEMS = "the keys of templates are operating systems"

ACCEPTED = [
    *((kind.__name__, "metadata.name", "another") for kind in KINDS),
    ("Seed", f"{FRANKFURT}.endpoint", "https://10.0.0.1"),
    ("Seed", f"{FRANKFURT}.endpoint", "https://vcenter.example.com:8443"),
    ("Seed", f"{FRANKFURT}.endpoint", "https://[2001:db8::1]:443/"),
    ("Seed", f"{FRANKFURT}.datacenter", "Rechenzentrum Süd (alt)"),
    ("Seed", f"{FRANKFURT}.cluster", "/DC0/host/racks%2f1-2/DC0_C0"),
    ("Seed", f"{FRANKFURT}.rootPath", "/DC0/vm"),
    ("Seed", f"{FRANKFURT}.rootPath", "/DC0/vm/..eleven/.hidden"),
    ("Seed", f"{FRANKFURT}.templates", {"ubuntu": "ubuntu-22.04", "flatcar": "vm-42"}),
    ("Seed", f"{FRANKFURT}.resyncInterval", "10s"),
    ("Seed", f"{FRANKFURT}.resyncInterval", "1h30m"),
    (
        "Seed",
        f"{FRANKFURT}.failureDomains",
        [{"name": "a", "datastore": "x"}, {"name": "b", "datastoreCluster": "y"}],
    ),
    ("Preset", "spec.allowed.paths", ["/DC0/vm/kubernetes"]),
    ("Preset", "spec.vsphere", {"datastoreCluster": "DC0_POD0"}),
    ("Preset", "spec.vsphere.basePath", "team"),
    ("Preset", "spec.vsphere.templates", {"rhel": "rhel-9"}),
    ("Preset", "spec.vsphere.tags", TAGS),
    ("Cluster", "metadata.name", "c" * 63),
    ("Cluster", f"{CLOUD}.datastore", "LocalDS_0"),
    ("Cluster", f"{CLOUD}.datastoreCluster", "DC0_POD0"),
    ("Cluster", f"{CLOUD}.basePath", "/DC0/vm/team"),
    ("Cluster", f"{CLOUD}.basePath", "team/blue"),
    ("Cluster", f"{CLOUD}.folder", "/DC0/vm/kept"),
    ("Cluster", f"{CLOUD}.tags", TAGS),
    ("Cluster", f"{CLOUD}.networks", []),
    ("Cluster", "spec.machineNetworks", [NETWORK]),
    ("Cluster", "spec.deletion", {"volumes": "Keep", "loadBalancers": "Keep"}),
    ("Cluster", "spec.deletion", {}),
    ("Cluster", "spec.machineNetworks", [{"cidr": "2001:db8::/64", "gateway": "2001:db8::1"}]),
    (
        "Cluster",
        "spec.machineNetworks",
        [
            NETWORK,
            {"cidr": "2001:db8::/64", "gateway": "2001:db8::1"},
            {"cidr": "10.9.0.0/31", "gateway": "10.9.0.0"},
        ],
    ),
    ("MachineDeployment", "metadata.name", "d" * 46),
    ("MachineDeployment", "spec.strategy", {"type": "OnDelete"}),
    ("MachineDeployment", "spec.strategy.rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1}),
    ("MachineDeployment", "spec.strategy.rollingUpdate", {"maxSurge": "25%", "maxUnavailable": 0}),
    ("MachineDeployment", "spec.strategy.rollingUpdate", {"maxUnavailable": "0%"}),
    ("MachineDeployment", "spec.replicas", 0),
    ("MachineSet", "metadata.name", "s" * 57),
    *(
        (kind, "spec.selector", {"matchLabels": {"pool": "workers"}, "matchExpressions": [expression]})
        for kind in WORKERS
        for expression in (
            {"key": "zone", "operator": "In", "values": ["b", "a"]},
            {"key": "zone", "operator": "NotIn", "values": ["b"]},
            {"key": "other", "operator": "NotIn", "values": ["b"]},
            {"key": "zone", "operator": "Exists"},
            {"key": "other", "operator": "DoesNotExist"},
        )
    ),
    *(
        (kind, f"{vsphere}.{field}", value)
        for kind, vsphere in TEMPLATES.items()
        for field, value in (
            ("datastoreCluster", "DC0_POD0"),
            ("coresPerSocket", 2),
            ("memoryMB", 4096),
            ("template", "/DC0/vm/templates/ubuntu-22.04"),
            ("template", "vm-42"),
            ("tags", TAGS),
            ("extraConfig", {"pciPassthru.use64bitMMIO": "TRUE", "guestinfo.team": "blue"}),
        )
    ),
    ("Machine", "metadata.name", "m" * 63),
    ("Machine", "spec.providerID", UUID),
]

REFUSED = [
    (
        "Seed",
        "spec.datacenters.Frank_Furt",
        {"vsphere": good("Seed")["spec"]["datacenters"]["frankfurt"]["vsphere"]},
        "a datacenter's name has at most 63 characters",
    ),
    ("Seed", f"{FRANKFURT}.endpoint", "http://vcenter.example.com", "must be the vCenter's https URL"),
    ("Seed", f"{FRANKFURT}.endpoint", "vcenter.example.com", "must be the vCenter's https URL"),
    ("Seed", f"{FRANKFURT}.endpoint", "https:///sdk", "must be the vCenter's https URL"),
    (
        "Seed",
        f"{FRANKFURT}.endpoint",
        "https://vcenter.example.com/sdk",
        "write the endpoint as https://host",
    ),
    (
        "Seed",
        f"{FRANKFURT}.endpoint",
        "https://me:pw@vcenter.example.com",
        "write the endpoint as https://host",
    ),
    (
        "Seed",
        f"{FRANKFURT}.endpoint",
        "https://vcenter.example.com?a=b",
        "write the endpoint as https://host",
    ),
    ("Seed", f"{FRANKFURT}.datacenter", "100%", PARTS),
    ("Seed", f"{FRANKFURT}.datacenter", LONG_NAME, PARTS),
    ("Seed", f"{FRANKFURT}.cluster", "a\\b", PARTS),
    ("Seed", f"{FRANKFURT}.networks", [{"name": "VM%Network"}], PARTS),
    ("Seed", f"{FRANKFURT}.rootPath", "/DC0/vm/", PARTS),
    ("Seed", f"{FRANKFURT}.rootPath", "/DC0//vm", PARTS),
    ("Seed", f"{FRANKFURT}.rootPath", "/DC0/vm/../secret", NO_DOTS),
    ("Seed", f"{FRANKFURT}.rootPath", "DC0/vm", ABSOLUTE),
    ("Seed", f"{FRANKFURT}.templates", {"windows": "w"}, SYSTEMS),
    (
        "Seed",
        f"{FRANKFURT}.failureDomains",
        [{"name": "a", "datastore": "x", "datastoreCluster": "y"}],
        NOT_BOTH,
    ),
    ("Seed", f"{FRANKFURT}.resyncInterval", "9s", "resyncInterval must be at least 10s"),
    ("Preset", "spec.allowed.paths", ["vm/kubernetes"], ABSOLUTE),
    ("Preset", "spec.vsphere.basePath", "..", NO_DOTS),
    ("Preset", "spec.vsphere.resourcePool", "a%b", PARTS),
    ("Preset", "spec.vsphere", {"datastore": "a", "datastoreCluster": "b"}, NOT_BOTH),
    ("Preset", "spec.vsphere.templates", {"Ubuntu": "x"}, SYSTEMS),
    ("Preset", "spec.vsphere.tags", [{"name": "a"}, {"name": "a"}], TWICE),
    ("Cluster", "metadata.name", "c" * 64, "the name may have at most 63 characters"),
    (
        "Cluster",
        "spec.machineNetworks",
        [NETWORK | {"cidr": "10.1.0.0"}],
        "write a network with its prefix length",
    ),
    (
        "Cluster",
        "spec.machineNetworks",
        [NETWORK | {"gateway": "10.2.0.1"}],
        "the gateway must lie within the cidr",
    ),
    ("Cluster", "spec.machineNetworks", [NETWORK | {"gateway": "router"}], "write an IP address"),
    (
        "Cluster",
        "spec.machineNetworks",
        [NETWORK | {"dnsServers": ["dns.example.com"]}],
        "write an IP address",
    ),
    ("Cluster", "spec.deletion", {"volumes": "Delete"}, "set kubeconfigSecretRef"),
    ("Cluster", "spec.deletion", {"volumes": "Keep", "loadBalancers": "Delete"}, "set kubeconfigSecretRef"),
    (
        "Cluster",
        "spec.machineNetworks",
        [NETWORK | {"cidr": "10.1.0.7/24"}],
        "write the network itself",
    ),
    (
        "Cluster",
        "spec.machineNetworks",
        [NETWORK, {"cidr": "10.1.0.128/25", "gateway": "10.1.0.129"}],
        "machineNetworks must not overlap",
    ),
    ("Cluster", CLOUD, {"datastore": "a", "datastoreCluster": "b"}, NOT_BOTH),
    ("Cluster", CLOUD, {"folder": "/DC0/vm/a", "basePath": "b"}, "folder names the whole path"),
    ("Cluster", f"{CLOUD}.folder", "DC0/vm/a", ABSOLUTE),
    ("Cluster", f"{CLOUD}.folder", "/DC0/vm/a/..", NO_DOTS),
    ("Cluster", f"{CLOUD}.basePath", "team/", PARTS),
    ("Cluster", f"{CLOUD}.basePath", "/", PARTS),
    ("Cluster", f"{CLOUD}.tags", [{"name": "a", "category": "x"}, {"name": "a", "category": "x"}], TWICE),
    ("MachineDeployment", "metadata.name", "d" * 47, "the name may have at most 46 characters"),
    ("MachineSet", "metadata.name", "s" * 58, "the name may have at most 57 characters"),
    (
        "MachineDeployment",
        "spec.strategy",
        {"type": "OnDelete", "rollingUpdate": {}},
        "rollingUpdate has no meaning",
    ),
    *(
        ("MachineDeployment", "spec.strategy.rollingUpdate", pace, "must not both be zero")
        for pace in (
            {"maxSurge": 0},
            {"maxSurge": "0%", "maxUnavailable": 0},
            {"maxSurge": 0, "maxUnavailable": "0%"},
        )
    ),
    ("MachineDeployment", "spec.strategy.rollingUpdate.maxSurge", -1, "write a number that is not negative"),
    ("MachineDeployment", "spec.healthCheck.maxUnhealthy", "many", "write a number that is not negative"),
    *(
        (kind, "spec.selector", selector, message)
        for kind in WORKERS
        for selector, message in (
            ({}, "the selector must not be empty"),
            ({"matchLabels": {}}, "the selector must not be empty"),
            ({"matchLabels": {"pool": "others"}}, "selector.matchLabels must match template.metadata.labels"),
            (
                {"matchLabels": {"other": "workers"}},
                "selector.matchLabels must match template.metadata.labels",
            ),
            *(
                ({"matchExpressions": [expression]}, "selector.matchExpressions must match")
                for expression in (
                    {"key": "zone", "operator": "In", "values": ["b"]},
                    {"key": "zone", "operator": "In"},
                    {"key": "zone", "operator": "NotIn", "values": ["a"]},
                    {"key": "other", "operator": "Exists"},
                    {"key": "zone", "operator": "DoesNotExist"},
                )
            ),
        )
    ),
    *(
        (kind, f"{vsphere}.{field}", value, message)
        for kind, vsphere in TEMPLATES.items()
        for field, value, message in (
            ("coresPerSocket", 3, "cpus must be a multiple of coresPerSocket"),
            ("memoryMB", 4097, "vSphere wants memoryMB to be a multiple of 4"),
            ("template", "a/", PARTS),
            ("tags", [{"name": "a"}, {"name": "a"}], TWICE),
            ("extraConfig", {"userclusters.id": "x"}, "remove them from extraConfig"),
            ("extraConfig", {"guestinfo.ignition.config.data": "x"}, "remove them from extraConfig"),
        )
    ),
    *(
        (kind, vsphere, {"cpus": 1, "memoryMB": 1024, "datastore": "a", "datastoreCluster": "b"}, NOT_BOTH)
        for kind, vsphere in TEMPLATES.items()
    ),
    ("Machine", "metadata.name", "m" * 64, "the name may have at most 63 characters"),
    (
        "Machine",
        "spec.providerID",
        UUID.upper(),
        "providerID is vsphere:// and the VM's BIOS UUID in lower case",
    ),
]

FROZEN = [
    ("Cluster", "spec.datacenter", "munich", "datacenter cannot be changed"),
    ("Cluster", f"{CLOUD}.folder", "/DC0/vm/other", "folder cannot be changed once set"),
    ("Cluster", f"{CLOUD}.folder", REMOVED, "folder cannot be changed once set"),
    ("Machine", "spec.clusterName", "other", "clusterName cannot be changed"),
    ("Machine", "spec.providerID", UUID.replace("4205", "4206"), "providerID cannot be changed once set"),
    ("Machine", "spec.providerID", REMOVED, "providerID cannot be changed once set"),
    *((kind, "spec.clusterName", "other", "clusterName cannot be changed") for kind in WORKERS),
    *(
        (kind, "spec.selector", {"matchLabels": {"zone": "a"}}, "the selector cannot be changed")
        for kind in WORKERS
    ),
]
SET_BEFORE = {f"{CLOUD}.folder": "/DC0/vm/kept", "spec.providerID": UUID}

BOUNDS = [
    ("Seed", "spec.datacenters", {}, "should have at least 1 properties"),
    ("Seed", f"{FRANKFURT}.limits.provisioning", 0, "should be greater than or equal to 1"),
    ("Seed", f"{FRANKFURT}.infraManagementUser", {"secretRef": {"name": "x"}}, "namespace: Required value"),
    ("Cluster", f"{CLOUD}.datastore", "", "should be at least 1 chars long"),
    ("Cluster", "spec.cloud", REMOVED, "spec.cloud: Required value"),
    ("Cluster", "spec.driftPolicy", "Ignore", 'Unsupported value: "Ignore"'),
    ("Cluster", f"{CLOUD}.networks", [{"name": "a"}, {"name": "a"}], "Duplicate value"),
    ("MachineDeployment", "spec.replicas", -1, "should be greater than or equal to 0"),
    ("MachineDeployment", "spec.replicas", 5001, "should be less than or equal to 5000"),
    ("MachineDeployment", "spec.template.metadata", REMOVED, "spec.template.metadata: Required value"),
    ("Machine", "spec.operatingSystem", "windows", 'Unsupported value: "windows"'),
    ("Machine", "spec.powerOffTimeout", "5 minutes", "spec.powerOffTimeout in body should match"),
    ("Machine", "spec.taints", [{"key": "a", "effect": "Sometimes"}], 'Unsupported value: "Sometimes"'),
    ("Machine", "spec.bootstrap", REMOVED, "spec.bootstrap: Required value"),
    ("Machine", "spec.vsphere.cpu", 3, 'unknown field "spec.vsphere.cpu"'),
]


@pytest.mark.parametrize(("kind", "path", "value"), ACCEPTED)
def test_a_good_object_passes_in_silence(api: ApiServer, kind: str, path: str, value: object) -> None:
    answer = try_to_create(api, changed(good(kind), path, value))
    assert (answer.status, answer.message, answer.warning) == (201, "", None)


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED)
def test_a_bad_object_is_refused_with_a_word_on_what_to_do(
    api: ApiServer, kind: str, path: str, value: object, message: str
) -> None:
    answer = try_to_create(api, changed(good(kind), path, value))
    assert answer.status == 422
    assert message in answer.message


@pytest.mark.parametrize(("kind", "path", "value", "message"), BOUNDS)
def test_what_is_missing_too_much_or_unknown_is_named(
    api: ApiServer, kind: str, path: str, value: object, message: str
) -> None:
    answer = try_to_create(api, changed(good(kind), path, value))
    assert answer.status in (400, 422)
    assert message in answer.message


@pytest.mark.parametrize(("kind", "path", "value", "message"), FROZEN)
def test_what_cannot_change_does_not(
    api: ApiServer, kind: str, path: str, value: object, message: str
) -> None:
    before = good(kind, "frozen")
    if path in SET_BEFORE:
        before = changed(before, path, SET_BEFORE[path])
    kept = create(api, before)
    try:
        where = f"{collection(kind)}/frozen"
        same = api.call("PUT", where, kept, dryRun="All")
        answer = api.call("PUT", where, changed(kept, path, value), dryRun="All")
    finally:
        remove(api, before)
    assert (same.status, answer.status) == (200, 422)
    assert message in answer.message


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [("Cluster", f"{CLOUD}.folder", "/DC0/vm/kept"), ("Machine", "spec.providerID", UUID)],
)
def test_what_can_be_set_once_can_be_set_later(api: ApiServer, kind: str, path: str, value: object) -> None:
    before = good(kind, "later")
    kept = create(api, before)
    try:
        answer = api.call("PUT", f"{collection(kind)}/later", changed(kept, path, value), dryRun="All")
    finally:
        remove(api, before)
    assert answer.status == 200, answer.message


def test_no_rule_goes_untried() -> None:
    tried = {(kind, message) for kind, _, _, message in (*REFUSED, *FROZEN)}
    untried = [
        (kind.__name__, rule["message"])
        for kind in KINDS
        for _, part in walk(structural_schema(kind))
        for rule in part.get("x-kubernetes-validations", [])
        if not any(name == kind.__name__ and message in rule["message"] for name, message in tried)
    ]
    assert untried == []
