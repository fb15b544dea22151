"""Names that end up in a guest: checked before they do, so that nothing has to be escaped later."""

import re

from vsphere_operator.bootstrap.errors import InvalidNameError

# Linux gives a host name 64 bytes, DNS a label 63; more than 63 breaks kubelet's certificate and DHCP clients
# alike.
HOSTNAME_LIMIT = 63
# RFC 1123 section 2.1, in the lower case that Kubernetes wants of a Node's name.
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Kubernetes' own bound for object names.
_MACHINE_NAME_LIMIT = 253
# Cloud-init makes it the name of a directory.
_INSTANCE_ID = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]{0,126}[A-Za-z0-9])?")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


def check_hostname(hostname: str) -> str:
    """The same host name, when it is one: RFC 1123, lower case, at most 63 characters in all."""
    if len(hostname) > HOSTNAME_LIMIT:
        raise InvalidNameError(
            f"host name {hostname!r} has {len(hostname)} characters and {HOSTNAME_LIMIT} are the limit; "
            "use a shorter name for the machine (or for the MachineDeployment that names it)"
        )
    if not _DNS_NAME.fullmatch(hostname):
        raise InvalidNameError(
            f"host name {hostname!r} is not valid (RFC 1123); use lower-case letters, digits and hyphens, "
            "beginning and ending with a letter or digit"
        )
    return hostname


def check_machine_name(name: str) -> str:
    """The same name, when Kubernetes would take it for an object."""
    if len(name) > _MACHINE_NAME_LIMIT or not _DNS_NAME.fullmatch(name):
        raise InvalidNameError(
            f"machine name {name!r} is not valid; use at most {_MACHINE_NAME_LIMIT} lower-case letters, "
            "digits, hyphens and dots, beginning and ending with a letter or digit"
        )
    return name


def check_instance_id(instance_id: str) -> str:
    """The same instance id, when cloud-init can use it."""
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise InvalidNameError(
            f"instance id {instance_id!r} is not valid; use 1 to 128 letters, digits and any of - _ . : "
            "between them"
        )
    return instance_id


def normal_mac(mac: str) -> str:
    """A MAC address in the lower case with colons that the Linux kernel shows."""
    normal = mac.lower().replace("-", ":")
    if not _MAC.fullmatch(normal):
        raise InvalidNameError(f"MAC address {mac!r} is not valid; use the form 00:50:56:00:00:01")
    return normal
