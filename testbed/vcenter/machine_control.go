package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// addMachineControls lets a test set how tasks, VMs and hosts behave.
func (vc *vCenter) addMachineControls(mux *http.ServeMux) {
	mux.HandleFunc("POST /tasks", vc.postTasks)
	mux.HandleFunc("POST /hosts", vc.postHost)
	mux.HandleFunc("POST /machines", vc.postMachine)
}

// postTasks takes {"keepSeconds": N, "durations": {METHOD: MS}, "held": [METHOD]}: how long finished tasks can be read,
// how long tasks take that are started from now on, and whose tasks come to no end while they stand in that list.
// "detach" is a ReconfigVM_Task that removes a disk.
func (vc *vCenter) postTasks(w http.ResponseWriter, r *http.Request) {
	var body struct {
		KeepSeconds *float64       `json:"keepSeconds"`
		Durations   map[string]int `json:"durations"`
		Held        *[]string      `json:"held"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.KeepSeconds != nil && *body.KeepSeconds < 0 {
		http.Error(w, `want {"keepSeconds": N, "durations": {METHOD: MS}, "held": [METHOD]}`, http.StatusBadRequest)
		return
	}
	if body.KeepSeconds != nil {
		vc.finished.setKeep(time.Duration(*body.KeepSeconds * float64(time.Second)))
	}
	for method, ms := range body.Durations {
		vc.durations.set(method, time.Duration(ms)*time.Millisecond)
	}
	if body.Held != nil {
		vc.durations.hold(*body.Held)
	}
}

// postHost takes {"host": NAME, "state": …, "restart": true}: connected, disconnected, notResponding, removed, or added
// (again). With restart, vSphere HA starts the running VMs of a host that does not respond elsewhere.
func (vc *vCenter) postHost(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Host    string `json:"host"`
		State   string `json:"state"`
		Restart bool   `json:"restart"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, `want {"host": NAME, "state": STATE, "restart": false}`, http.StatusBadRequest)
		return
	}
	if body.State == "added" {
		vc.outages.mu.Lock()
		gone, ok := vc.outages.removed[body.Host]
		delete(vc.outages.removed, body.Host)
		vc.outages.mu.Unlock()
		if !ok {
			http.Error(w, "no such host has been removed", http.StatusNotFound)
			return
		}
		vc.addHost(gone)
		return
	}
	host, ok := vc.named("HostSystem", body.Host).(*simulator.HostSystem)
	if !ok {
		http.Error(w, "there is no such host", http.StatusNotFound)
		return
	}
	switch state := types.HostSystemConnectionState(body.State); state {
	case types.HostSystemConnectionStateConnected, types.HostSystemConnectionStateDisconnected,
		types.HostSystemConnectionStateNotResponding:
		vc.setHostState(host, state)
	case "removed":
		vc.removeHost(host)
	default:
		http.Error(w, "there is no such state", http.StatusBadRequest)
		return
	}
	if body.Restart {
		vc.restartElsewhere(host)
	}
}

// machineOrder is what a test can let happen to a VM behind vCenter's back; what is left out stays.
type machineOrder struct {
	VM              string                              `json:"vm"` // name or reference
	PowerState      types.VirtualMachinePowerState      `json:"powerState"`
	ConnectionState types.VirtualMachineConnectionState `json:"connectionState"`
	CdromLocked     *bool                               `json:"cdromLocked"`
	DisabledMethods *[]string                           `json:"disabledMethods"`
	Question        *struct {
		ID      string   `json:"id"`
		Text    string   `json:"text"`
		Choices []string `json:"choices"`
	} `json:"question"`
}

func (vc *vCenter) postMachine(w http.ResponseWriter, r *http.Request) {
	var order machineOrder
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, `want {"vm": NAME, …}: `+err.Error(), http.StatusBadRequest)
		return
	}
	vm, ok := vc.named("VirtualMachine", order.VM).(*simulator.VirtualMachine)
	if !ok {
		http.Error(w, "there is no such VM", http.StatusNotFound)
		return
	}
	if order.PowerState != "" {
		vc.powerBehind(vm, order.PowerState)
	}
	if order.ConnectionState != "" {
		vc.say(vm, order.ConnectionState)
	}
	if order.CdromLocked != nil {
		vc.questions.setLocked(vm.Self, *order.CdromLocked)
	}
	if order.DisabledMethods != nil {
		vc.registry().AtomicUpdate(vc.newContext(), vm, []types.PropertyChange{
			{Name: "disabledMethod", Val: *order.DisabledMethods}})
	}
	if q := order.Question; q != nil && !vc.ask(vm, newQuestion(q.ID, q.Text, q.Choices)) {
		http.Error(w, "the VM has asked another question", http.StatusConflict)
	}
}

// named finds an object by its name or its reference, as vm-12 or VirtualMachine:vm-12.
func (vc *vCenter) named(kind, name string) mo.Reference {
	ref := types.ManagedObjectReference{Type: kind, Value: strings.TrimPrefix(name, kind+":")}
	if found := vc.registry().Get(ref); found != nil {
		return found
	}
	if found, ok := vc.byName(kind)[name]; ok {
		return found
	}
	return nil
}
