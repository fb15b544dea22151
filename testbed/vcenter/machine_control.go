package main

import (
	"encoding/json"
	"net/http"
	"time"
)

// addMachineControls lets a test set how tasks, VMs and hosts behave.
func (vc *vCenter) addMachineControls(mux *http.ServeMux) {
	mux.HandleFunc("POST /tasks", vc.postTasks)
}

// postTasks takes {"keepSeconds": N, "durations": {METHOD: MS}}: how long finished tasks can be read, and how long
// tasks take that are started from now on. "detach" is a ReconfigVM_Task that removes a disk.
func (vc *vCenter) postTasks(w http.ResponseWriter, r *http.Request) {
	var body struct {
		KeepSeconds *float64       `json:"keepSeconds"`
		Durations   map[string]int `json:"durations"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.KeepSeconds != nil && *body.KeepSeconds < 0 {
		http.Error(w, `want {"keepSeconds": N, "durations": {METHOD: MS}}`, http.StatusBadRequest)
		return
	}
	if body.KeepSeconds != nil {
		vc.finished.setKeep(time.Duration(*body.KeepSeconds * float64(time.Second)))
	}
	for method, ms := range body.Durations {
		vc.durations.set(method, time.Duration(ms)*time.Millisecond)
	}
}
