"""From YAML to running workers, looked at from both sides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.boot_data import ignition_files, read_iso, user_data_parts
from tests.e2e.vcenter import disks, extra_config, iso_paths, nic_networks
from tests.e2e.world import BOOTSTRAP_SENTINEL, Tenant, condition_of, conditions_of

SUMMARIES = {"Ready", "Reconciling", "Stalled"}


def assert_current(obj: dict[str, Any]) -> None:
    """As kstatus judges an object that is done."""
    generation = obj["metadata"]["generation"]
    types = {c["type"] for c in conditions_of(obj)}
    assert types & SUMMARIES == {"Ready"}, types
    assert obj["status"]["observedGeneration"] == generation
    for condition in conditions_of(obj):
        assert condition["observedGeneration"] == generation, condition
        assert condition["reason"], condition
        assert condition["lastTransitionTime"], condition


def test_a_seed_is_ready_and_says_which_vcenter_answered(tenant: Tenant) -> None:
    seed = tenant.ready("Seed", tenant.seed)
    assert_current(seed)
    (datacenter,) = seed["status"]["datacenters"]
    assert datacenter["name"] == tenant.seed
    assert condition_of({"status": datacenter}, "Ready")["status"] == "True"  # type: ignore[index]
    assert datacenter["vCenter"]["version"] == "8.0.3"
    assert datacenter["vCenter"]["instanceUUID"]


def test_a_cluster_has_a_folder_and_tags_that_say_whose_they_are(tenant: Tenant) -> None:
    tenant.create_cluster()
    cluster = tenant.ready("Cluster", "shop")
    assert_current(cluster)
    folder = tenant.vcenter.find(tenant.folder())
    assert folder is not None
    status = cluster["status"]
    assert status["folder"]["path"] == tenant.folder()
    assert status["folder"]["moRef"].endswith(folder._moId)
    assert status["folder"]["origin"] == "Created"
    assert "intents" not in status

    wanted = {(f"category-{tenant.seed}", f"env-{tenant.namespace}"), (f"owner-{tenant.namespace}", "team")}
    tags = {key: tag for key, tag in tenant.vcenter.tags.all().items() if key in wanted}
    assert tags.keys() == wanted
    assert {(t["category"], t["name"]): (t["id"], t["origin"]) for t in status["tags"]} == {
        key: (tag.id, "Created") for key, tag in tags.items()
    }
    assert tenant.vcenter.tags.on(folder) == {name for _, name in wanted}
    categories = tenant.vcenter.tags.categories()
    assert {c["name"]: (c["id"], c["origin"]) for c in status["categories"]} == {
        name: (categories[name].id, "Created") for name, _ in wanted
    }
    identity = cluster["metadata"]["annotations"]["userclusters.io/id"]
    made = [*tags.values(), *(categories[name] for name, _ in wanted)]
    assert all(identity in thing.description for thing in made)


def test_what_is_in_force_and_where_it_came_from_stands_in_status(tenant: Tenant) -> None:
    tenant.shop(cloud={"vsphere": {"datastore": "LocalDS_1"}})
    effective = tenant.must_get("Cluster", "shop")["status"]["effective"]
    assert (effective["datastore"], effective["networks"]) == ("LocalDS_1", ["VM Network"])
    assert effective["sources"]["datastore"] != effective["sources"]["networks"]
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    assert machine["status"]["vm"]["datastore"] == "LocalDS_1"
    assert [d.name for d in tenant.vm(machine["metadata"]["name"]).datastore] == ["LocalDS_1"]


def test_an_ubuntu_worker_boots_from_an_iso_beside_its_files(tenant: Tenant) -> None:
    tenant.shop()
    shape = {"vsphere": {"cpus": 4, "memoryMB": 3072, "diskSizeGB": 25}}
    tenant.deploy(template=objects.worker("ubuntu", shape))
    (machine,) = tenant.all_ready("workers", 1)
    assert_current(machine)
    name = machine["metadata"]["name"]
    vm = tenant.vm(name)
    assert (vm.config.hardware.numCPU, vm.config.hardware.memoryMB) == (4, 3072)
    assert [disk.capacityInKB for disk in disks(vm)] == [25 * 1024 * 1024]
    assert nic_networks(vm) == ["VM Network"]
    assert vm.runtime.powerState == "poweredOn"

    (path,) = iso_paths(vm)
    directory = vm.config.files.vmPathName.rpartition("/")[0]
    assert path == f"{directory}/cloud-init.iso"
    image = tenant.vcenter.download(path)
    assert image is not None
    volume, files = read_iso(image)
    assert volume == "cidata"
    user_data = user_data_parts(files["user-data"])
    expected = objects.USER_DATA.format(sentinel=BOOTSTRAP_SENTINEL).replace("<MACHINE_NAME>", name)
    assert expected in user_data
    assert name in files["meta-data"]
    assert not [value for value in extra_config(vm).values() if BOOTSTRAP_SENTINEL in value]


def test_a_flatcar_worker_boots_from_ignition_in_guestinfo(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy("flat", template=objects.worker("flatcar"))
    (machine,) = tenant.all_ready("flat", 1)
    name = machine["metadata"]["name"]
    vm = tenant.vm(name)
    files = ignition_files(extra_config(vm))
    assert files["/etc/hostname"] == name
    assert files["/etc/worker"] == BOOTSTRAP_SENTINEL
    assert iso_paths(vm) == []
    assert {"type": "Hostname", "address": name} in machine["status"]["addresses"]


def test_a_worker_carries_its_owners_mark_and_vcenters_identity(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    meta, status = machine["metadata"], machine["status"]
    vm = tenant.vm(meta["name"])
    marks = {k: v for k, v in extra_config(vm).items() if k.startswith("userclusters.io.")}
    cluster = tenant.must_get("Cluster", "shop")
    assert marks["userclusters.io.machine"] == meta["annotations"]["userclusters.io/id"] == meta["uid"]
    assert marks["userclusters.io.cluster"] == cluster["metadata"]["uid"]
    assert marks["userclusters.io.name"] == f"{tenant.namespace}/{meta['name']}"
    assert marks["userclusters.io.instance-uuid"] == vm.config.instanceUuid == status["vm"]["instanceUUID"]
    assert machine["spec"]["providerID"] == f"vsphere://{vm.config.uuid}"
    assert status["vm"]["biosUUID"] == vm.config.uuid
    assert status["vm"]["moRef"].endswith(vm._moId)
    assert status["phase"] == "Running"
    assert "operation" not in status
    assert {a["address"] for a in status["addresses"] if a["type"] == "InternalIP"} >= {vm.guest.ipAddress}


def test_workers_are_owned_and_labelled_for_an_autoscaler(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    machines = tenant.all_ready("workers", 2)
    (machine_set,) = tenant.api.find_all("MachineSet", tenant.namespace)
    deployment = tenant.must_get("MachineDeployment", "workers")
    assert_current(deployment)
    assert_current(machine_set)
    assert [o["kind"] for o in machine_set["metadata"]["ownerReferences"]] == ["MachineDeployment"]
    for obj in (*machines, machine_set, deployment):
        assert obj["metadata"]["labels"]["userclusters.io/cluster-name"] == "shop"
        assert obj["spec"]["clusterName"] == "shop"
    for machine in machines:
        assert [o["name"] for o in machine["metadata"]["ownerReferences"]] == [
            machine_set["metadata"]["name"]
        ]
        assert machine["metadata"]["labels"]["cluster.x-k8s.io/deployment-name"] == "workers"
    scale = tenant.api.read_scale("MachineDeployment", "workers", tenant.namespace)
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    assert "pool=workers" in scale["status"]["selector"]


@pytest.mark.parametrize("networks", [["VM Network", "DC0_DVPG0"], ["DC0_DVPG0"]])
def test_a_worker_has_a_nic_for_each_network_in_order(tenant: Tenant, networks: list[str]) -> None:
    tenant.shop(cloud={"vsphere": {"networks": [{"name": name} for name in networks]}})
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    vm = tenant.vm(machine["metadata"]["name"])
    cards = [d for d in vm.config.hardware.device if hasattr(d, "macAddress")]
    groups = {p.key: p.name for p in tenant.vcenter.find("/DC0/network").childEntity if hasattr(p, "key")}
    seen = [
        groups[c.backing.port.portgroupKey] if hasattr(c.backing, "port") else c.backing.deviceName
        for c in cards
    ]
    assert seen == networks
