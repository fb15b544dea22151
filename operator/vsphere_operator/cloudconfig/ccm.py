"""The configuration of cloud-provider-vsphere: its YAML, and the INI that older releases read.

Key names: its pkg/common/config, types_yaml.go and types_ini_legacy.go. The sections Disk and Workspace are those of
the provider that was once part of Kubernetes; cloud-provider-vsphere passes over them.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsphere_operator.cloudconfig import ini, yaml_form
from vsphere_operator.cloudconfig.config import CloudConfig, UnwritableError, listed, writable


@dataclass(frozen=True, slots=True)
class SecretName:
    """The Secret in the user cluster that CCM reads user name and password from."""

    namespace: str
    name: str


def as_yaml(config: CloudConfig, secret: SecretName | None = None) -> bytes:
    """The YAML form; with ``secret`` user name and password stay out of it.

    Raises UnwritableError for a value that cannot be carried.
    """
    vcenter: dict[str, yaml_form.Scalar | list[str]] = {
        "server": config.host,
        "port": config.port,
        "insecureFlag": config.insecure,
    }
    if config.ca_file:
        vcenter["caFile"] = config.ca_file
    vcenter["datacenters"] = [listed("the datacenter", config.datacenter)]
    if secret is None:
        vcenter["user"] = writable("the user name", config.username)
        vcenter["password"] = writable("the password", config.password)
    else:
        vcenter |= {"secretName": secret.name, "secretNamespace": secret.namespace}
    tree: dict[str, yaml_form.Scalar | list[str] | yaml_form.Tree] = {"vcenter": {config.host: vcenter}}
    region, zone = _labels(config)
    if region and zone:
        tree["labels"] = {"region": region, "zone": zone}
    return yaml_form.render(tree)


def as_ini(config: CloudConfig) -> bytes:
    """The INI form, user name and password in it; raises UnwritableError for a value that cannot be carried."""
    datacenter = listed("the datacenter", config.datacenter)
    access: list[tuple[str, ini.Value | None]] = [
        ("user", config.username),
        ("password", config.password),
        ("port", config.port),
        ("insecure-flag", config.insecure),
        ("ca-file", config.ca_file),
        ("datacenters", datacenter),
    ]
    sections = [
        ini.Section("Global", None, access),
        ini.Section("VirtualCenter", config.host, access),
        ini.Section("Disk", None, [("scsicontrollertype", "pvscsi")]),
        ini.Section("Workspace", None, _workspace(config)),
    ]
    region, zone = _labels(config)
    if region and zone:
        sections.append(ini.Section("Labels", None, [("region", region), ("zone", zone)]))
    return ini.render(sections)


def credentials(config: CloudConfig) -> dict[str, bytes]:
    """What the Secret of the YAML form holds: `<server>.username` and `<server>.password`."""
    if ":" in config.host:
        words = (
            "the vCenter's address is an IPv6 address, which cannot be a key of CCM's Secret; use a host name"
        )
        raise UnwritableError(words)
    return {
        f"{config.host}.username": writable("the user name", config.username).encode(),
        f"{config.host}.password": writable("the password", config.password).encode(),
    }


def _workspace(config: CloudConfig) -> list[tuple[str, ini.Value | None]]:
    return [
        ("server", config.host),
        ("datacenter", config.datacenter),
        ("folder", config.folder),
        ("default-datastore", config.default_datastore),
        ("resourcepool-path", config.resource_pool),
    ]


def _labels(config: CloudConfig) -> tuple[str | None, str | None]:
    """CCM knows two levels, and labels Nodes only when it is told both: the two widest."""
    categories = [writable("a topology category", name) for name in config.topology_categories]
    return (categories[0], categories[1]) if len(categories) > 1 else (None, None)
