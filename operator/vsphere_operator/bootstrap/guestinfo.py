"""What a VM's guestinfo values and vApp properties can carry, and how."""

import base64
import gzip
from collections.abc import Mapping

from vsphere_operator.bootstrap.errors import DataTooLargeError

# A guest reads a value in one message of at most 64 KiB (open-vm-tools, GUESTMSG_MAX_IN_SIZE), which also has
# to hold the status before it and the end of the string.
VALUE_LIMIT = 64 * 1024 - 16

IGNITION_DATA = "guestinfo.ignition.config.data"
IGNITION_ENCODING = "guestinfo.ignition.config.data.encoding"


def ignition_values(config: bytes) -> Mapping[str, str]:
    """The two values that Ignition's VMware provider reads, packed when that is shorter.

    Raises DataTooLargeError when even that does not fit.
    """
    encoding, value = _encoded(config)
    if len(value) > VALUE_LIMIT:
        raise DataTooLargeError(
            f"the Ignition configuration has {len(config)} bytes, {len(value)} when encoded, and a guestinfo "
            f"value holds {VALUE_LIMIT}; move files out of it, to URLs under `storage.files` or to another "
            "configuration that it refers to"
        )
    return {IGNITION_DATA: value, IGNITION_ENCODING: encoding}


def _encoded(data: bytes) -> tuple[str, str]:
    plain = base64.b64encode(data).decode("ascii")
    # No modification time: the same data must give the same value in each reconcile.
    packed = base64.b64encode(gzip.compress(data, mtime=0)).decode("ascii")
    if len(packed) < len(plain):
        return "gzip+base64", packed
    return "base64", plain
