package main

import "net/http"

type tagStore struct{}

func newTagStore() *tagStore { return &tagStore{} }

func (vc *vCenter) state() any                                          { return nil }
func (vc *vCenter) serveJSONRPC(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
func (vc *vCenter) serveREST(w http.ResponseWriter, r *http.Request)    { http.NotFound(w, r) }
func (vc *vCenter) serveFiles(w http.ResponseWriter, r *http.Request) {
	vc.service.ServeDatastore(w, r)
}
