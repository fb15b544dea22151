"""Objects and pictures as a run shows them, for the tests to vary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from testbed.demo.kubernetes_view import rows
from testbed.demo.picture import Picture
from testbed.demo.vcenter_view import Datastore, Folder, VCenterView, Vm

FOLDER = "/DC0/vm/kubernetes/team-shop-shop"
TAGS = ("k8c:env-prod", "owner:team-shop")


def an_object(
    kind: str,
    name: str,
    *,
    ready: str = "True",
    reason: str = "Running",
    message: str = "",
    owner: str = "",
    replicas: int | None = None,
    have: int | None = None,
    phase: str = "",
    generation: int = 1,
    deleting: bool = False,
) -> dict[str, Any]:
    """An object of the operator's as the API server shows it."""
    metadata: dict[str, Any] = {"name": name, "namespace": "team-shop", "generation": generation}
    if kind == "Seed":
        del metadata["namespace"]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    if owner:
        metadata["ownerReferences"] = [{"name": owner, "controller": True}]
    spec: dict[str, Any] = {} if kind in {"Seed", "Cluster"} else {"clusterName": "shop"}
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": message}
    status: dict[str, Any] = {"observedGeneration": 1, "phase": phase, "conditions": [condition]}
    if replicas is not None:
        spec["replicas"] = replicas
        found = replicas if have is None else have
        status |= {"replicas": found, "availableReplicas": found}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": status}


def objects(workers: int = 2) -> dict[str, list[dict[str, Any]]]:
    """The samples' objects when all is Ready, with so many workers."""
    machines = [
        an_object("Machine", f"workers-0d7222ea-{n:05}", owner="workers-0d7222ea", phase="Running")
        for n in range(workers)
    ]
    return {
        "Seed": [an_object("Seed", "europe", reason="AllChecked")],
        "Cluster": [an_object("Cluster", "shop", reason="Reconciled")],
        "MachineDeployment": [an_object("MachineDeployment", "workers", replicas=workers, phase="Running")],
        "MachineSet": [an_object("MachineSet", "workers-0d7222ea", owner="workers", replicas=workers)],
        "Machine": machines,
    }


def a_vm(number: int, **changes: Any) -> Vm:
    """A worker as vCenter shows it when all is Ready."""
    name = f"workers-0d7222ea-{number:05}"
    directory = f"[LocalDS_0] {name}"
    vm = Vm(
        moref=f"VirtualMachine:vm-{number}",
        name=name,
        folder=FOLDER,
        power="poweredOn",
        address=f"10.20.0.{number}",
        cpus=2,
        memory_mb=4096,
        directory=directory,
        image=f"{directory}/cloud-init.iso",
    )
    return replace(vm, **changes)


def a_view(*vms: Vm, tags: tuple[str, ...] = TAGS) -> VCenterView:
    """The samples' side of vCenter when all is Ready."""
    return VCenterView(
        folders=(Folder("Folder:group-1", FOLDER, tags),),
        vms=vms,
        datastores=(Datastore("LocalDS_0", 3967 * 2**30, 4096 * 2**30),),
        images=tuple(vm.image for vm in vms if vm.image),
        calls=61,
        tasks=9,
    )


def a_picture(workers: int = 2) -> Picture:
    """What is shown when all is Ready."""
    vms = [a_vm(n) for n in range(workers)]
    return Picture(seconds=14.2, rows=rows(objects(workers)), vcenter=a_view(*vms))
