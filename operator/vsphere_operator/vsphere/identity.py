"""The instanceUuid of a machine's VM, derived and never stored: the portable id finds the VM."""

from __future__ import annotations

import uuid

# A random namespace of this project's own. Changing it would orphan every VM made before.
NAMESPACE = uuid.UUID("8d6fbb3c-0d0f-4f0e-9c1c-6a54ed0c7b1e")


def instance_uuid(machine_id: str) -> str:
    """The `config.instanceUuid` that the VM of this machine is cloned with (lower case, with hyphens)."""
    if not machine_id:
        raise ValueError("a machine without an id has no instance UUID")
    return str(uuid.uuid5(NAMESPACE, machine_id))


def may_be_ours(candidate: str) -> bool:
    """Whether an instanceUuid has the form of ours, version 5, as few that vCenter draws have.

    Only a hint which VMs deserve a closer look: it proves nothing.
    """
    try:
        return uuid.UUID(candidate).version == 5
    except ValueError:
        return False
