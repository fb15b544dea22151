"""Datastore files: through vCenter's `/folder` address, and where vCenter cannot, through a host with a ticket."""

from vsphere_operator.vsphere.files.paths import split
from vsphere_operator.vsphere.files.service import Files
from vsphere_operator.vsphere.files.source import Source

__all__ = ["Files", "Source", "split"]
