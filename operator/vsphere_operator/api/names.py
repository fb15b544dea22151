"""The names that other objects and other programs read: group, labels, annotations, finalizer."""

from typing import Final

GROUP: Final = "userclusters.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FINALIZER: Final = f"{GROUP}/vsphere"
"""On an object from before the first thing is made outside until all of it is proven gone."""

CLUSTER_NAME_LABEL: Final = f"{GROUP}/cluster-name"
"""On every worker object, and on what is made for a Cluster: the Cluster's name."""
CLUSTER_ID_LABEL: Final = f"{GROUP}/cluster-id"
"""On what is written for a Cluster, beside it or into the user cluster: CSI's cluster id, and proof that it is ours."""
DEPLOYMENT_NAME_LABEL: Final = "cluster.x-k8s.io/deployment-name"
"""Read literally by the cluster autoscaler, whatever the group."""
TEMPLATE_HASH_LABEL: Final = f"{GROUP}/template-hash"
"""Tells the MachineSets of one MachineDeployment, and their Machines, apart."""

ID_ANNOTATION: Final = f"{GROUP}/id"
"""The portable identity: the object's first UID, kept across backup and restore."""
CHECKSUM_ANNOTATION: Final = f"{GROUP}/checksum"
"""On what holds cloud configuration: changes with the content, so that consumers can restart on it."""
ORPHAN_ANNOTATION: Final = f"{GROUP}/orphan"
"""A person lets go: what is named here (see ORPHAN_WORDS) is left behind when the object goes."""
ORPHAN_WORDS: Final = ("machines", "folder", "tags", "volumes", "loadBalancers", "userCluster", "all")
"""What can be let go of: VMs, folder, tags; volumes, load balancers and all that we put into the user cluster."""
ADDRESS_TERM_ANNOTATION: Final = f"{GROUP}/address-term"
"""On a Cluster: a token of the process that hands out its static addresses; see docs/decisions."""
ACCEPT_LOSSES_ANNOTATION: Final = f"{GROUP}/accept-losses"
"""On a Seed: the ids of losses that a person confirms, where many VMs are gone from a vCenter at once."""
DELETE_MACHINE_ANNOTATION: Final = f"{GROUP}/delete-machine"
"""Its presence makes a Machine the first to go on scaling down."""
MACHINE_ANNOTATION: Final = f"{GROUP}/machine"
"""On a Node: the name of its Machine."""
CLUSTER_NAMESPACE_ANNOTATION: Final = f"{GROUP}/cluster-namespace"
"""On a Node: the namespace of its Machine."""
REVISION_ANNOTATION: Final = "machinedeployment.clusters.x-k8s.io/revision"
"""On MachineDeployments and MachineSets; read literally by Cluster API's clients."""
PAUSED_ANNOTATION: Final = "cluster.x-k8s.io/paused"
"""Read literally by Cluster API's clients."""
CAPACITY_ANNOTATION_PREFIX: Final = "capacity.cluster-autoscaler.kubernetes.io/"
"""On MachineDeployments and MachineSets, so that the autoscaler can scale from zero."""

USERNAME_KEY: Final = "username"
PASSWORD_KEY: Final = "password"  # noqa: S105 - the key's name in a Secret
BOOTSTRAP_KEY: Final = "value"
"""The key of a bootstrap Secret, as in Cluster API."""

CLOUD_CONFIG_SUFFIX: Final = "-cloud-config"
CSI_CONFIG_SUFFIX: Final = "-csi-config"
"""The Secrets beside a Cluster: its name and one of these."""
