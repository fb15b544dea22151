"""The CustomResourceDefinitions as text: the same bytes each time."""

from typing import Any, Final

import yaml

from vsphere_operator.api.base import Resource
from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine
from vsphere_operator.api.machinedeployment import MachineDeployment
from vsphere_operator.api.machineset import MachineSet
from vsphere_operator.api.names import GROUP
from vsphere_operator.api.preset import Preset
from vsphere_operator.api.schema import custom_resource_definition
from vsphere_operator.api.seed import Seed

KINDS: Final[tuple[type[Resource], ...]] = (Seed, Preset, Cluster, MachineDeployment, MachineSet, Machine)
"""All kinds of the group, those first that others name."""

_HEADER: Final = "# Made by `vsphere-operator crds` from the models in vsphere_operator/api; edit those.\n"


class _Dumper(yaml.SafeDumper):
    """Indents lists, writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def render_crds() -> dict[str, str]:
    """YAML text by file name, for example `userclusters.io_seeds.yaml`."""
    return {f"{GROUP}_{kind.definition.plural}.yaml": _render(kind) for kind in KINDS}


def _render(kind: type[Resource]) -> str:
    document = custom_resource_definition(kind)
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
