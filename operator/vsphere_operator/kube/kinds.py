"""The kinds that the operator reads or writes, and where the API keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

GROUP = "userclusters.io"
VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `group` is "" for the core API. Of `metadata_only` kinds lists bring just the
    metadata."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool
    metadata_only: bool = False

    @property
    def api_version(self) -> str:
        """As objects of this kind name it: `v1`, `userclusters.io/v1alpha1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the object, or of the collection when there is no name."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


_ADMISSION = "admissionregistration.k8s.io"
_ALL = (
    Kind("Seed", GROUP, VERSION, "seeds", namespaced=False),
    Kind("Preset", GROUP, VERSION, "presets", namespaced=False),
    Kind("Cluster", GROUP, VERSION, "clusters", namespaced=True),
    Kind("MachineDeployment", GROUP, VERSION, "machinedeployments", namespaced=True),
    Kind("MachineSet", GROUP, VERSION, "machinesets", namespaced=True),
    Kind("Machine", GROUP, VERSION, "machines", namespaced=True),
    Kind("Secret", "", "v1", "secrets", namespaced=True, metadata_only=True),
    Kind("ConfigMap", "", "v1", "configmaps", namespaced=True, metadata_only=True),
    Kind("Namespace", "", "v1", "namespaces", namespaced=False),
    Kind("Event", "", "v1", "events", namespaced=True),
    Kind("Lease", "coordination.k8s.io", "v1", "leases", namespaced=True),
    # In user clusters only.
    Kind("StorageClass", "storage.k8s.io", "v1", "storageclasses", namespaced=False),
    Kind("Service", "", "v1", "services", namespaced=True),
    Kind("Pod", "", "v1", "pods", namespaced=True),
    Kind("PersistentVolume", "", "v1", "persistentvolumes", namespaced=False),
    Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", namespaced=True),
    Kind("ValidatingAdmissionPolicy", _ADMISSION, "v1", "validatingadmissionpolicies", namespaced=False),
    Kind(
        "ValidatingAdmissionPolicyBinding",
        _ADMISSION,
        "v1",
        "validatingadmissionpolicybindings",
        namespaced=False,
    ),
)

KINDS = {kind.kind: kind for kind in _ALL}
OURS = tuple(kind.kind for kind in _ALL if kind.group == GROUP)
"""Our own kinds, in the order in which one needs the other."""
WATCHED = (*OURS, "Namespace", "Secret", "ConfigMap")
"""What the store keeps: our kinds, the labels of namespaces, and that Secrets and ConfigMaps exist."""
