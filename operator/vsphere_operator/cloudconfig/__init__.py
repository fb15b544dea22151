"""What the user cluster's CCM and CSI driver read. Pure. Empty until Clusters get their cloud configuration."""
