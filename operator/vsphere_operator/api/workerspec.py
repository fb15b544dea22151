"""What MachineDeployments and MachineSets have in common: a selector, a template, a number."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vsphere_operator.api.base import MATERIALISED_DEFAULT, DNSLabel, Model, Rule, cel
from vsphere_operator.api.machinetemplate import MachineTemplate
from vsphere_operator.api.references import LabelSelector

ClusterName = Annotated[
    DNSLabel,
    cel(("self == oldSelf", "clusterName cannot be changed; make a new object for the other Cluster")),
]

Replicas = Annotated[int, Field(ge=0, le=5000)]
"""Kubernetes itself ends at 5,000 Nodes a cluster."""


class DeletePolicy(StrEnum):
    """Which Machines go first on scaling down, after those that are marked, failed or not ready."""

    RANDOM = "Random"
    NEWEST = "Newest"
    OLDEST = "Oldest"


_LABELS = "self.template.metadata.labels"


class WorkerSpec(Model):
    """A number of Machines from one template."""

    rules = (
        Rule(
            "(has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) || "
            "(has(self.selector.matchExpressions) && self.selector.matchExpressions.size() > 0)",
            "the selector must not be empty; write matchLabels with a label of the template",
            ".selector",
        ),
        Rule(
            f"!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, k in {_LABELS} "
            f"&& {_LABELS}[k] == self.selector.matchLabels[k])",
            "selector.matchLabels must match template.metadata.labels; write the same labels in both places",
            ".selector",
        ),
        Rule(
            "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, "
            f"e.operator == 'In' ? e.key in {_LABELS} && has(e.values) && {_LABELS}[e.key] in e.values : "
            "e.operator == 'NotIn' ? "
            f"!(e.key in {_LABELS}) || !has(e.values) || !({_LABELS}[e.key] in e.values) : "
            f"e.operator == 'Exists' ? e.key in {_LABELS} : !(e.key in {_LABELS}))",
            "selector.matchExpressions must match template.metadata.labels; change one of the two",
            ".selector",
        ),
    )

    cluster_name: ClusterName
    """The Cluster, in the same namespace, that the Machines belong to."""
    replicas: Annotated[Replicas, MATERIALISED_DEFAULT] = 1
    """How many Machines there shall be. Left out, it is 1 at first and then an autoscaler's to set."""
    selector: Annotated[
        LabelSelector,
        cel(("self == oldSelf", "the selector cannot be changed; make a new object instead")),
    ]
    """Which Machines are counted; must match the template's labels."""
    template: MachineTemplate
    """What Machines are made from."""
    min_ready_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    """How long, in seconds, a Machine must be ready to count as available. Default: 0."""
    delete_policy: DeletePolicy | None = None
    """Random, Newest or Oldest. Default: Random."""


class WorkerStatusCounts(Model):
    """The numbers that both kinds report."""

    replicas: int = 0
    """Machines that exist."""
    ready_replicas: int = 0
    """Machines whose Node is ready."""
    available_replicas: int = 0
    """Machines that have been ready for minReadySeconds."""
    selector: str | None = None
    """The label selector as text, for the scale subresource."""
