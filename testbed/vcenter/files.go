package main

import "net/http"

func (vc *vCenter) serveFiles(w http.ResponseWriter, r *http.Request) {
	vc.service.ServeDatastore(w, r)
}
