//go:build tools

// Package kubernetes pins the commands that the test bed builds: nothing here is ever run.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
