"""Who has which address and MAC: by the Machines' statuses, by what is just being written, by what VMs report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vsphere_operator.controllers import indexes
from vsphere_operator.controllers.address_pools import canonical
from vsphere_operator.controllers.lifecycle import identity, metadata
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import Proof, proves


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose something is, and in which network of which vCenter; None where that is not known."""

    machine: str
    cluster: str
    vcenter: str | None
    network: str | None

    @classmethod
    def of(cls, machine: Object, held: Object) -> Claim:
        """By an entry of ``status.staticAddresses``."""
        cluster = f"{metadata(machine)['namespace']}/{machine['spec']['clusterName']}"
        return cls(str(metadata(machine)["uid"]), cluster, held.get("vCenter"), held.get("network"))

    def everywhere(self) -> Claim:
        """For what no two may have in one vCenter, whatever the network: MACs."""
        return replace(self, network=None)

    def excludes(self, other: Claim) -> bool:
        """Whether the two cannot have the same: networks that are not known are taken for one."""
        if self.machine == other.machine:
            return False
        if self.cluster == other.cluster:
            return True
        if None not in (self.vcenter, other.vcenter) and self.vcenter != other.vcenter:
            return False
        return None in (self.network, other.network) or self.network == other.network


class Claims:
    """What Machines hold, with what this process is about to write into their statuses."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._promised: defaultdict[str, list[Claim]] = defaultdict(list)

    def held_in_cluster(self, claim: Claim) -> frozenset[str]:
        """What the other Machines of the Cluster have: one look at all is cheaper than one for each address."""
        return frozenset(
            held["address"]
            for obj in self._objects.by_index("Machine", indexes.CLUSTER, claim.cluster)
            if metadata(obj)["uid"] != claim.machine
            for held in indexes.static_addresses(obj)
        )

    def unread(self, claim: Claim, installation: str, inventory: Inventory) -> str | None:
        """A Machine of the Cluster that has a VM by our mark and not in its status: a backup was restored.

        Its name; what it holds is known when its VM has been read.
        """
        for obj in self._objects.by_index("Machine", indexes.CLUSTER, claim.cluster):
            status = obj.get("status") or {}
            if status.get("operation") or (status.get("vm") or {}).get("moRef"):
                continue
            if metadata(obj)["uid"] != claim.machine and _has_vm(obj, installation, inventory):
                return str(metadata(obj)["name"])
        return None

    def has_address(self, address: str, claim: Claim) -> bool:
        """Whether it is somebody else's; as :func:`canonical` writes it."""
        return self._is_taken(indexes.STATIC_ADDRESS, address, claim)

    def has_mac(self, mac: str, claim: Claim) -> bool:
        return self._is_taken(indexes.STATIC_MAC, mac, claim.everywhere())

    @contextmanager
    def promise(self, values: Iterable[str], claim: Claim) -> Iterator[None]:
        """Until the status that says so is in the store."""
        promised = list(values)
        for value in promised:
            self._promised[value].append(claim)
        try:
            yield
        finally:
            for value in promised:
                self._promised[value].remove(claim)
                if not self._promised[value]:
                    del self._promised[value]

    def _is_taken(self, index: str, value: str, claim: Claim) -> bool:
        for obj in self._objects.by_index("Machine", index, value):
            if any(Claim.of(obj, held).excludes(claim) for held in indexes.static_addresses(obj)):
                return True
        return any(other.excludes(claim) for other in self._promised.get(value, ()))


def _has_vm(machine: Object, installation: str, inventory: Inventory) -> bool:
    machine_id = identity(machine)
    return any(
        isinstance(
            proves(
                vm,
                installation=installation,
                machine_id=machine_id,
                instance_uuid=instance_uuid(machine_id),
            ),
            Proof,
        )
        for vm in inventory.vms_marked_for(machine_id)
    )


def reported_addresses(inventory: Inventory, network: MoRef | None, *, but: str) -> frozenset[str]:
    """What VMs say that they have in that network: also those of Machines that were let go, or lost their status.

    ``but`` is the instance UUID of a VM that does not count.
    """
    entity = inventory.get(network) if network else None
    name = entity.name if entity else None
    return frozenset(
        # Each VM has a link-local address, which nobody hands out: parsing those of 10,000 VMs would take a while.
        canonical(ip) if ":" in ip else ip
        for vm in _others(inventory, but)
        for nic in vm.guest_nics
        if name is None or nic.network in (None, "", name)
        for ip in nic.ips
        if not ip.startswith("fe80:")
    )


def known_macs(inventory: Inventory, *, but: str) -> frozenset[str]:
    """The MACs of the VMs that may be ours: of others the hardware is not read."""
    return frozenset(
        mac.lower()
        for vm in _others(inventory, but)
        for mac in (
            *(n.mac for n in vm.guest_nics),
            *(n.mac for n in (vm.devices.nics if vm.devices else ())),
        )
        if mac
    )


def _others(inventory: Inventory, but: str) -> Iterator[VmEntity]:
    for vm in inventory.all(VmEntity):
        if isinstance(vm, VmEntity) and vm.instance_uuid != but:
            yield vm
