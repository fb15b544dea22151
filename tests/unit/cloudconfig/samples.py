"""A configuration with everything in it."""

from __future__ import annotations

from typing import Any

from vsphere_operator.cloudconfig import CA_FILE, CloudConfig, cluster_id

AWKWARD = "  p\"a\\s'; s# = %d%% [x] ${y} wörd 😀\t\\"


def a_config(**changes: Any) -> CloudConfig:
    values: dict[str, Any] = {
        "host": "vcenter.example.com",
        "port": 443,
        "datacenter": "DC0",
        "username": "shop-ccm@vsphere.local",
        "password": AWKWARD,
        "cluster_id": cluster_id("7d1c9c7e-6a3f-4a4e-9d0c-0f7a2b1c3d4e"),
        "ca_file": CA_FILE,
        "folder": "/DC0/vm/kubernetes/team-shop-shop",
        "default_datastore": "LocalDS_0",
        "resource_pool": "gold",
        "topology_categories": ("k8s-region", "k8s-zone"),
    }
    return CloudConfig(**(values | changes))
