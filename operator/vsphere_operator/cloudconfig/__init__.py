"""What a user cluster's CCM and CSI driver read, as files: settings in, bytes out. Pure."""

from vsphere_operator.cloudconfig import ccm, csi
from vsphere_operator.cloudconfig.config import CA_FILE, CA_KEY, CloudConfig, UnwritableError, cluster_id

__all__ = ["CA_FILE", "CA_KEY", "CloudConfig", "UnwritableError", "ccm", "cluster_id", "csi"]
