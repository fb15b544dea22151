module vsphere-operator/testbed/pki

go 1.25.0
