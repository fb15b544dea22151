"""`csi-vsphere.conf`, the configuration of the vSphere CSI driver (key names: its pkg/common/config/types.go)."""

from __future__ import annotations

import re

from vsphere_operator.cloudconfig import ini
from vsphere_operator.cloudconfig.config import CloudConfig, UnwritableError, listed

DISTRIBUTION = "Kubernetes"
"""What vCenter's view of container volumes shows as the cluster's distribution."""
MOST_CATEGORIES = 5
"""MaxNumberOfTopologyCategories of the driver."""

# The driver ends itself over any other user name (isValidvCenterUsernameWithDomain).
_USERNAME = re.compile(r"(?:[a-zA-Z0-9.-]+\\[a-zA-Z0-9._-]+|[a-zA-Z0-9._-]+@[a-zA-Z0-9.-]+)")


def as_ini(config: CloudConfig) -> bytes:
    """The file; raises UnwritableError for what the driver would refuse or misread."""
    if not _USERNAME.fullmatch(config.username):
        words = (
            "the CSI driver takes only user names with their domain, as user@domain or DOMAIN\\user, of letters, "
            "digits, dots, dashes and underscores; correct the user name"
        )
        raise UnwritableError(words)
    # One way through the driver looks for the CA file among the vCenter's settings, another only in Global
    # (GetVirtualCenterConfig in its pkg/common/cns-lib/vsphere/utils.go).
    trust: list[tuple[str, ini.Value | None]] = [
        ("insecure-flag", config.insecure),
        ("ca-file", config.ca_file),
    ]
    identity: list[tuple[str, ini.Value | None]] = [
        ("cluster-id", config.cluster_id),
        ("cluster-distribution", DISTRIBUTION),
    ]
    sections = [
        ini.Section("Global", None, [*identity, *trust]),
        ini.Section(
            "VirtualCenter",
            config.host,
            [
                ("user", config.username),
                ("password", config.password),
                ("port", config.port),
                *trust,
                ("datacenters", listed("the datacenter", config.datacenter)),
            ],
        ),
    ]
    if config.topology_categories:
        sections.append(ini.Section("Labels", None, [("topology-categories", _categories(config))]))
    return ini.render(sections)


def _categories(config: CloudConfig) -> str:
    if len(config.topology_categories) > MOST_CATEGORIES:
        words = (
            f"the CSI driver takes at most {MOST_CATEGORIES} topology categories; shorten topologyCategories"
        )
        raise UnwritableError(words)
    return ",".join(listed("a topology category", name) for name in config.topology_categories)
