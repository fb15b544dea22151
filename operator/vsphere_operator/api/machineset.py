"""MachineSet: a number of equal Machines."""

from typing import ClassVar, Literal

from pydantic import Field

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    Column,
    Definition,
    Resource,
    name_limit,
)
from vsphere_operator.api.conditions import Status
from vsphere_operator.api.workerspec import WorkerSpec, WorkerStatusCounts


class MachineSetSpec(WorkerSpec):
    """A number of equal Machines."""


class MachineSetStatus(Status, WorkerStatusCounts):
    """The Machines that there are."""

    fully_labeled_replicas: int = 0
    """Machines with all labels of the template."""


class MachineSet(Resource):
    """A number of equal Machines; usually made by a MachineDeployment."""

    rules = (name_limit(57, "a Machine's name is made from it and may have 63"),)
    definition: ClassVar = Definition(
        plural="machinesets",
        singular="machineset",
        short_names=("ms",),
        scope="Namespaced",
        columns=(
            Column("Cluster", ".spec.clusterName"),
            Column("Desired", ".spec.replicas", "integer"),
            Column("Replicas", ".status.replicas", "integer"),
            Column("Available", ".status.availableReplicas", "integer"),
            READY_COLUMN,
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
        scalable=True,
        selectable_fields=(".spec.clusterName",),
    )

    kind: Literal["MachineSet"] = "MachineSet"
    spec: MachineSetSpec
    """What shall be."""
    status: MachineSetStatus = Field(default_factory=MachineSetStatus)
    """What is."""
