"""What a Cluster's CCM and CSI driver have to be told: its settings, certificate and login as the files they read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.cloudconfig import CA_FILE, CA_KEY, CloudConfig, UnwritableError, ccm, cluster_id, csi
from vsphere_operator.controllers import clusters, settings
from vsphere_operator.controllers.cluster import folder
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Login, Offer, read_endpoint
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.controllers.presets import preset_for
from vsphere_operator.vsphere.endpoint import Endpoint

CLOUD_CONFIG_READY = "CloudConfigReady"
NOT_WRITABLE = "SettingNotWritable"

YAML_KEY = "vsphere.yaml"
INI_KEY = "vsphere.conf"
CSI_KEY = "csi-vsphere.conf"

Data = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class CloudFiles:
    """The files by key. What cannot be written is None, and ``problems`` says why."""

    config: CloudConfig
    ca_bundle: str | None
    ccm: Data | None = field(repr=False)
    csi: Data | None = field(repr=False)
    problems: tuple[Problem, ...] = ()


async def gather(objects: Objects, offer: Offer, cluster: Cluster, identity: str) -> CloudFiles | Problem:
    """The files for the Cluster of this portable id; vCenter is not asked for them.

    Only the user of CCM and CSI ever goes in: without one there is a Problem with the reason NO_CONSUMER.
    """
    login = await clusters.consumer_login(objects, cluster)
    if isinstance(login, Problem):
        return replace(login, condition=CLOUD_CONFIG_READY)
    preset = preset_for(objects, cluster)
    if isinstance(preset, Problem):
        return replace(preset, condition=CLOUD_CONFIG_READY)
    offer = replace(offer, preset=preset)
    endpoint = await read_endpoint(objects, offer)
    if isinstance(endpoint, Problem):
        return replace(endpoint, condition=CLOUD_CONFIG_READY)
    record = cluster.status.folder
    path = record.path if record else folder.place(offer, cluster, identity).path
    return render(describe(offer, endpoint, login, cluster, identity, path), endpoint, login)


def describe(
    offer: Offer, endpoint: Endpoint, login: Login, cluster: Cluster, identity: str, path: str
) -> CloudConfig:
    """The settings in force; of storage only what volumes can use."""
    datastore = settings.volume_datastore(offer, cluster)
    pool = settings.for_cluster(offer, cluster).get("resourcePool")
    return CloudConfig(
        host=endpoint.host,
        port=endpoint.port,
        datacenter=offer.vsphere.datacenter,
        username=login.credentials.username,
        password=login.credentials.password,
        cluster_id=cluster_id(identity),
        insecure=endpoint.allow_insecure,
        ca_file=CA_FILE if _bundle(endpoint) else None,
        folder=path,
        default_datastore=datastore.value if datastore else None,
        resource_pool=pool.value if pool else None,
        topology_categories=tuple(offer.vsphere.topology_categories or ()),
    )


def render(config: CloudConfig, endpoint: Endpoint, login: Login) -> CloudFiles:
    """The contents of both Secrets; one that cannot be written does not keep the other from it."""
    problems: list[Problem] = []
    source = f"Secret {login.namespace}/{login.secret}"

    def attempt(write: Callable[[CloudConfig], dict[str, bytes]]) -> Data | None:
        try:
            content = write(config)
        except UnwritableError as error:
            problems.append(Problem(CLOUD_CONFIG_READY, NOT_WRITABLE, f"{error} ({source})"))
            return None
        bundle = _bundle(endpoint)
        return content | ({CA_KEY: bundle.encode()} if bundle else {})

    return CloudFiles(
        config,
        _bundle(endpoint),
        ccm=attempt(lambda c: {YAML_KEY: ccm.as_yaml(c), INI_KEY: ccm.as_ini(c)}),
        csi=attempt(lambda c: {CSI_KEY: csi.as_ini(c)}),
        problems=tuple(problems),
    )


def checksum(installation: str, content: Data) -> str:
    """Changes when the content does. Keyed, so that nobody who reads annotations can try passwords against it."""
    digest = hashlib.blake2b(key=installation.encode()[:64], digest_size=16)
    for key in sorted(content):
        for part in (key.encode(), content[key]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _bundle(endpoint: Endpoint) -> str | None:
    return None if endpoint.allow_insecure else endpoint.ca_bundle
