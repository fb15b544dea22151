package main

import (
	"encoding/json"
	"net/http"
)

// storageControls are the control verbs for datastores, datastore clusters, storage policies and tags.
func (vc *vCenter) storageControls(mux *http.ServeMux) {
	mux.HandleFunc("POST /datastores", control(vc.changeDatastore))
	mux.HandleFunc("POST /storage-pods", control(vc.changePod))
	mux.HandleFunc("POST /policies", control(vc.changePolicy))
	mux.HandleFunc("POST /foreign-tags", control(vc.createForeignTags))
}

// control decodes a body without unknown fields, and answers an error with 400 and its text.
func control[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body T
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&body)
		if err == nil {
			err = do(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}
