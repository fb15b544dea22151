"""Where a VM is powered on when no DRS chooses: the least loaded host that reaches all of its datastores.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vsphere_operator.vsphere.inventory import ComputeCluster, Host, Inventory, ResourcePool, VmEntity
from vsphere_operator.vsphere.morefs import MoRef


def compute_cluster_of(inventory: Inventory, vm: VmEntity) -> ComputeCluster | None:
    """The compute cluster whose pool the VM is in."""
    pool = inventory.get(vm.resource_pool) if vm.resource_pool is not None else None
    owner = inventory.get(pool.owner) if isinstance(pool, ResourcePool) and pool.owner is not None else None
    return owner if isinstance(owner, ComputeCluster) else None


def choose_host(vm: VmEntity, hosts: Iterable[Host], running: Counter[MoRef]) -> MoRef | None:
    """The usable host with the fewest running VMs, in a tie the VM's own; `None`: none is usable."""
    usable = [host for host in hosts if _can_run(host, vm)]
    if not usable:
        return None
    best = min(usable, key=lambda host: (running[host.moref], host.moref != vm.host, host.moref))
    return best.moref


def _can_run(host: Host, vm: VmEntity) -> bool:
    connected = host.connection_state == "connected" and not host.in_maintenance
    return connected and set(vm.datastores) <= set(host.datastores)


def running_by_host(inventory: Inventory) -> Counter[MoRef]:
    return Counter(
        vm.host
        for vm in inventory.all(VmEntity)
        if isinstance(vm, VmEntity) and vm.host is not None and vm.power_state == "poweredOn"
    )
