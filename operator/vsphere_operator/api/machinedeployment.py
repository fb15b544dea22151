"""MachineDeployment: workers as a fleet that rolls."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, StrictInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    Column,
    Definition,
    Duration,
    LabelKey,
    Model,
    Resource,
    Rule,
    cel,
    map_list,
    name_limit,
)
from vsphere_operator.api.conditions import ConditionStatus, Status
from vsphere_operator.api.workerspec import WorkerSpec, WorkerStatusCounts


class _IntOrStringSchema:
    """Kubernetes' own notation for a union that structural schemas cannot write."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"x-kubernetes-int-or-string": True, "maxLength": 11}


IntOrPercent = Annotated[
    StrictInt | str,
    _IntOrStringSchema(),
    cel(
        (
            "type(self) == int ? self >= 0 : self.matches('^[0-9]+%$')",
            "write a number that is not negative, or a percentage such as 25%",
        )
    ),
]


class StrategyType(StrEnum):
    """How a changed template reaches the Machines."""

    ROLLING_UPDATE = "RollingUpdate"
    ON_DELETE = "OnDelete"


class RollingUpdate(Model):
    """The pace of a rolling update."""

    rules = (
        Rule(
            "!(has(self.maxSurge) && self.maxSurge in [dyn(0), dyn('0%')]) || "
            "(has(self.maxUnavailable) && !(self.maxUnavailable in [dyn(0), dyn('0%')]))",
            "maxSurge and maxUnavailable must not both be zero, or nothing could roll; raise one of them",
        ),
    )

    max_surge: IntOrPercent = 1
    """How many Machines there may be beyond `replicas`: a number, or a percentage rounded up. Default: 1."""
    max_unavailable: IntOrPercent = 0
    """How many Machines may be missing: a number, or a percentage rounded down. Default: 0."""


class Strategy(Model):
    """How a changed template reaches the Machines."""

    rules = (
        Rule(
            "!(has(self.rollingUpdate) && has(self.type) && self.type == 'OnDelete')",
            "rollingUpdate has no meaning with type OnDelete; remove it",
            ".rollingUpdate",
        ),
    )

    type: StrategyType = StrategyType.ROLLING_UPDATE
    """RollingUpdate, or OnDelete: only deleted Machines are replaced. Default: RollingUpdate."""
    rolling_update: RollingUpdate | None = None
    """The pace of a rolling update."""


class UnhealthyCondition(Model):
    """A Node condition that makes a Machine unhealthy when it lasts."""

    type: LabelKey
    """The Node condition's type, for example Ready."""
    status: ConditionStatus
    """The status that is unhealthy."""
    timeout: Duration
    """How long it must last."""


class HealthCheck(Model):
    """When a Machine is replaced."""

    unhealthy_conditions: Annotated[
        list[UnhealthyCondition], Field(max_length=16), map_list("type", "status")
    ] = Field(default_factory=list)
    """Node conditions that make a Machine unhealthy."""
    node_startup_timeout: Duration | None = None
    """How long a Machine may take to join; 0s: for ever. Default: 20m."""
    max_unhealthy: IntOrPercent | None = None
    """With more unhealthy Machines than this, none is replaced. Default: 40%."""


class MachineDeploymentSpec(WorkerSpec):
    """A fleet of workers."""

    strategy: Strategy = Field(default_factory=Strategy)
    """How a changed template reaches the Machines."""
    paused: bool = False
    """Do not roll; scaling goes on. Default: false."""
    progress_deadline_seconds: Annotated[int, Field(ge=1)] | None = None
    """After how many seconds without progress a rollout counts as stuck. Default: 1800."""
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = 10
    """How many old MachineSets are kept to roll back to. Default: 10."""
    health_check: HealthCheck | None = None
    """When a Machine is replaced. Default: only when it failed for good."""


class MachineDeploymentPhase(StrEnum):
    """The phases that Cluster API's clients know."""

    SCALING_UP = "ScalingUp"
    SCALING_DOWN = "ScalingDown"
    RUNNING = "Running"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class MachineDeploymentStatus(Status, WorkerStatusCounts):
    """The fleet as it is."""

    phase: MachineDeploymentPhase | None = None
    """ScalingUp, ScalingDown, Running, Failed or Unknown."""
    updated_replicas: int = 0
    """Machines from the current template."""
    unavailable_replicas: int = 0
    """Machines that are missing or not available."""
    collision_count: int | None = None
    """How often a MachineSet's name was taken; part of the name's hash."""


class MachineDeployment(Resource):
    """Workers as a fleet, like a Deployment of Pods."""

    rules = (name_limit(46, "a Machine's name is made from it and may have 63"),)
    definition: ClassVar = Definition(
        plural="machinedeployments",
        singular="machinedeployment",
        short_names=("md",),
        scope="Namespaced",
        columns=(
            Column("Cluster", ".spec.clusterName"),
            Column("Desired", ".spec.replicas", "integer"),
            Column("Replicas", ".status.replicas", "integer"),
            Column("Updated", ".status.updatedReplicas", "integer"),
            Column("Available", ".status.availableReplicas", "integer"),
            Column("Phase", ".status.phase"),
            READY_COLUMN,
            Column("OS", ".spec.template.spec.operatingSystem", priority=1),
            Column("Paused", ".spec.paused", "boolean", priority=1),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
        scalable=True,
        selectable_fields=(".spec.clusterName",),
    )

    kind: Literal["MachineDeployment"] = "MachineDeployment"
    spec: MachineDeploymentSpec
    """What shall be."""
    status: MachineDeploymentStatus = Field(default_factory=MachineDeploymentStatus)
    """What is."""
