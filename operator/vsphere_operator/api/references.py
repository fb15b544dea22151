"""How objects name each other."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vsphere_operator.api.base import ATOMIC_MAP, SET_LIST, DNSLabel, Model, ObjectName

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class LocalReference(Model):
    """An object of one certain kind: cluster-scoped, or in the namespace of the object that names it."""

    keywords = ATOMIC_MAP.values

    name: ObjectName
    """The object's name."""


class SecretReference(Model):
    """A Secret anywhere; only cluster-scoped objects may name one."""

    keywords = ATOMIC_MAP.values

    namespace: DNSLabel
    """The Secret's namespace."""
    name: ObjectName
    """The Secret's name."""


class KubeconfigReference(Model):
    """A Secret in the same namespace that holds a kubeconfig."""

    keywords = ATOMIC_MAP.values

    name: ObjectName
    """The Secret's name."""
    key: SecretKey | None = None
    """The key within the Secret. Default: `value`, else `kubeconfig`."""


class CABundleKind(StrEnum):
    """Where a CA bundle may be kept."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - a kind


class CABundleReference(Model):
    """A key of a ConfigMap or Secret that holds PEM certificates."""

    keywords = ATOMIC_MAP.values

    kind: CABundleKind = CABundleKind.CONFIG_MAP
    """ConfigMap or Secret. Default: ConfigMap."""
    namespace: DNSLabel
    """The object's namespace."""
    name: ObjectName
    """The object's name."""
    key: SecretKey = "ca.crt"
    """The key within the object. Default: `ca.crt`."""


class InfraManagementUser(Model):
    """The vCenter user that makes and unmakes VMs, tags and folders; kept on the seed."""

    secret_ref: SecretReference
    """A Secret with the keys `username` and `password`."""


class LocalInfraManagementUser(Model):
    """The vCenter user that makes and unmakes VMs, tags and folders; kept on the seed."""

    secret_ref: LocalReference
    """A Secret in the same namespace with the keys `username` and `password`."""


class NodeReference(Model):
    """A Node of the user cluster."""

    api_version: str = "v1"
    """Always v1."""
    kind: str = "Node"
    """Always Node."""
    name: str
    """The Node's name."""
    uid: str | None = None
    """The Node's UID."""


class SelectorOperator(StrEnum):
    """Kubernetes' label selector operators."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Model):
    """One expression of a label selector."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label's key."""
    operator: SelectorOperator
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=32), SET_LIST] = Field(
        default_factory=list
    )
    """The values for In and NotIn."""


class LabelSelector(Model):
    """Which labels an object must have; all parts must match."""

    keywords = ATOMIC_MAP.values

    match_labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Labels with exactly these values."""
    match_expressions: Annotated[list[SelectorRequirement], Field(max_length=16)] = Field(
        default_factory=list
    )
    """Further expressions."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether an object with these labels is selected; an empty selector selects everything."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _satisfied(expression, labels) for expression in self.match_expressions
        )

    def to_query(self) -> str:
        """The selector as the API server's query parameter and `status.selector` spell it."""
        equalities = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        return ",".join(equalities + [_query(expression) for expression in self.match_expressions])


def _satisfied(expression: SelectorRequirement, labels: dict[str, str]) -> bool:
    present = expression.key in labels
    match expression.operator:
        case SelectorOperator.IN:
            return present and labels[expression.key] in expression.values
        case SelectorOperator.NOT_IN:
            return not present or labels[expression.key] not in expression.values
        case SelectorOperator.EXISTS:
            return present
        case SelectorOperator.DOES_NOT_EXIST:
            return not present


def _query(expression: SelectorRequirement) -> str:
    values = ",".join(sorted(expression.values))
    match expression.operator:
        case SelectorOperator.IN:
            return f"{expression.key} in ({values})"
        case SelectorOperator.NOT_IN:
            return f"{expression.key} notin ({values})"
        case SelectorOperator.EXISTS:
            return expression.key
        case SelectorOperator.DOES_NOT_EXIST:
            return f"!{expression.key}"
