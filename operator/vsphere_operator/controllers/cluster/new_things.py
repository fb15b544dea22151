"""What keeps a user cluster from making new claims or load balancers while those it has are deleted.

A StatefulSet makes a new claim the moment its old one is gone. A ValidatingAdmissionPolicy (Kubernetes 1.30 and later)
refuses that; where there is none, or it may not be written, whatever comes is deleted at the next look.
"""

from __future__ import annotations

from typing import Any

from vsphere_operator.api.cluster import DeletionStep
from vsphere_operator.controllers.user_clusters import UserCluster
from vsphere_operator.kube.errors import AlreadyExists, Forbidden, NotFound

API = "admissionregistration.k8s.io/v1"
_MESSAGE = "this cluster is being deleted, and its {things} with it: no new ones are made"
_RULES = {
    DeletionStep.VOLUMES: ("no-new-volumes", "volumes", "persistentvolumeclaims", ["CREATE"], "false"),
    DeletionStep.LOAD_BALANCERS: (
        "no-new-load-balancers",
        "load balancers",
        "services",
        ["CREATE", "UPDATE"],
        "!has(object.spec.type) || object.spec.type != 'LoadBalancer' || has(object.metadata.deletionTimestamp)",
    ),
}


async def forbid(user_cluster: UserCluster, step: DeletionStep) -> None:
    """Refuse new ones from now on, as far as the user cluster can."""
    for obj in manifests(step):
        try:
            if await user_cluster.find(obj["kind"], "", obj["metadata"]["name"]) is None:
                await user_cluster.create(obj)
        except AlreadyExists:
            continue
        except (NotFound, Forbidden):
            return


async def allow(user_cluster: UserCluster, step: DeletionStep) -> None:
    """Take the refusal away again: the API server may live on, and serve other workers."""
    for obj in reversed(manifests(step)):
        name = obj["metadata"]["name"]
        try:
            found = await user_cluster.find(obj["kind"], "", name)
            if found is not None:
                await user_cluster.delete(obj["kind"], "", name, uid=found["metadata"]["uid"])
        except NotFound:
            continue


def manifests(step: DeletionStep) -> list[dict[str, Any]]:
    """The policy and its binding."""
    ending, things, resource, operations, expression = _RULES[step]
    name = f"{ending}.userclusters.io"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": [resource]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": _MESSAGE.format(things=things)}],
    }
    return [
        _object("ValidatingAdmissionPolicy", name, policy),
        _object(
            "ValidatingAdmissionPolicyBinding", name, {"policyName": name, "validationActions": ["Deny"]}
        ),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
