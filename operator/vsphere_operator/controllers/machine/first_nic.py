"""What the static addresses of a Machine mean for the VM's first NIC: they are on no other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine
from vsphere_operator.bootstrap.operating_systems import Family, family_of
from vsphere_operator.bootstrap.static_network import StaticNetwork
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine.steps import TakeAddresses
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import VmDetails

Networks = tuple[NetworkRef, ...] | None
"""A NIC each; None keeps the template's."""


def wanted(
    cluster: Cluster, machine: Machine, template: VmDetails, networks: Networks
) -> TakeAddresses | None:
    """Whether the Machine has to be given addresses now: before its VM is made, and not again."""
    if not cluster.spec.machine_networks or _is_made(machine):
        return None
    with_mac = _is_named_by_mac(machine, template, networks)
    held = machine.status.static_addresses
    if held and (held[0].mac or not with_mac):
        return None
    return TakeAddresses(_network(networks, template), with_mac)


def hindrance(
    machine: Machine, template: VmDetails, networks: Networks, macs: Sequence[str], *, condition: str
) -> Problem | None:
    """What keeps the Machine's static addresses, if it has any, from reaching the guest."""
    if not machine.status.static_addresses:
        return None
    if _count(template, networks) == 0 or (_is_made(machine) and not macs):
        words = "a static address needs a network card, and the VM has none: name a network, or use another template"
        return Problem(condition, "NoNetworkCard", words)
    return None


def static_network(machine: Machine, template: VmDetails, networks: Networks) -> StaticNetwork | None:
    """What the guest is told, as the status has it: the pools may have changed since."""
    held = machine.status.static_addresses
    if not held:
        return None
    return StaticNetwork(
        addresses=[f"{a.address}/{a.cidr.rpartition('/')[2]}" for a in held],
        gateways=[a.gateway for a in held if a.gateway],
        dns_servers=[server for a in held for server in a.dns_servers],
        mac=chosen_mac(machine, template, networks),
    )


def chosen_mac(machine: Machine, template: VmDetails, networks: Networks) -> str | None:
    """The MAC that the first NIC is made with; None when vCenter draws one."""
    held = machine.status.static_addresses
    return held[0].mac if held and _is_named_by_mac(machine, template, networks) else None


def _is_named_by_mac(machine: Machine, template: VmDetails, networks: Networks) -> bool:
    """Ignition is told before the clone which one of several NICs is meant; an ISO is written after it."""
    ignition = family_of(machine.spec.operating_system.value) is Family.IGNITION
    return ignition and _count(template, networks) > 1


def _count(template: VmDetails, networks: Networks) -> int:
    return len(template.nics) if networks is None else len(networks)


def _is_made(machine: Machine) -> bool:
    return machine.status.vm is not None and machine.status.vm.mo_ref is not None


def _network(networks: Networks, template: VmDetails) -> MoRef | None:
    if networks:
        return networks[0].moref
    nics = sorted(template.nics, key=lambda nic: nic.key) if networks is None else []
    return nics[0].network if nics else None
