"""Labels, annotations and finalizers: the operator's own, and those that Cluster API's clients read literally."""

from __future__ import annotations

GROUP = "userclusters.io"
API_VERSION = f"{GROUP}/v1alpha1"

FINALIZER = f"{GROUP}/vsphere"
ID = f"{GROUP}/id"
CLUSTER_NAME = f"{GROUP}/cluster-name"
SET_NAME = f"{GROUP}/set-name"
DEPLOYMENT_NAME = f"{GROUP}/deployment-name"
TEMPLATE_HASH = f"{GROUP}/template-hash"
ORPHAN = f"{GROUP}/orphan"
DELETE_MACHINE = f"{GROUP}/delete-machine"

CAPI_DEPLOYMENT_NAME = "cluster.x-k8s.io/deployment-name"
CAPI_PAUSED = "cluster.x-k8s.io/paused"
REVISION = "machinedeployment.clusters.x-k8s.io/revision"

ORPHAN_FINALIZER = "orphan"
"""Kubernetes' own: ``kubectl delete --cascade=orphan`` puts it on, dependents are then to stay."""
