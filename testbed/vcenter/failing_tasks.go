package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// descriptions are the descriptionIds of tasks that are not named after type and method.
var descriptions = map[string]string{
	"CloneVM_Task":             "VirtualMachine.clone",
	"CreateVM_Task":            "Folder.createVm",
	"DeleteDatastoreFile_Task": "FileManager.deleteFile",
	"MoveIntoFolder_Task":      "Folder.moveInto",
	"PowerOffVM_Task":          "VirtualMachine.powerOff",
	"PowerOnMultiVM_Task":      "Datacenter.powerOnVm",
	"PowerOnVM_Task":           "VirtualMachine.powerOn",
	"ReconfigVM_Task":          "VirtualMachine.reconfigure",
	"RelocateVM_Task":          "VirtualMachine.relocate",

	"ConfigureStorageDrsForPod_Task": "StorageResourceManager.configureStorageDrsForPod",
}

func descriptionOf(c call, about mo.Entity) string {
	if id, ok := descriptions[c.Method]; ok {
		return id
	}
	name := strings.TrimSuffix(c.Method, "_Task")
	return about.Reference().Type + "." + strings.ToLower(name[:1]) + name[1:]
}

// answerFailingTask answers a call with a task that does nothing, takes the rule's time, and ends in its fault.
// It is false when the call would have no task: nobody is logged in, or there is no such object.
func (vc *vCenter) answerFailingTask(w http.ResponseWriter, r *http.Request, c call, rule *injection) bool {
	ref := refOf(c.Object)
	if ref == nil || !strings.HasSuffix(c.Method, "_Task") || vc.liveUser(r) == "" {
		return false
	}
	object := vc.registry().Get(*ref)
	if object == nil {
		return false
	}
	about, ok := object.(mo.Entity)
	if !ok {
		about = vc.registry().Any("Datacenter")
	}
	task := vc.startFailingTask(c, about, rule)
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `%s<%[2]sResponse xmlns="urn:vim25"><returnval type="Task">%s</returnval></%[2]sResponse>`+
		`</soapenv:Body></soapenv:Envelope>`, envelopeStart, c.Method, task.Value)
	return true
}

func (vc *vCenter) startFailingTask(c call, about mo.Entity, rule *injection) types.ManagedObjectReference {
	task := simulator.CreateTask(about, c.Method, nil)
	task.Info.Name = c.Method
	task.Info.DescriptionId = descriptionOf(c, about)
	task.Info.Cancelable = slices.Contains(cancelable, c.Method)
	task.Info.EntityName = about.Entity().Name
	task.Info.Reason = &types.TaskReasonUser{UserName: c.User}
	task.Info.State = types.TaskInfoStateRunning
	vc.registry().Put(task)
	ctx := vc.newContext()
	vc.registry().AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info.key", Val: task.Self.Value},
		{Name: "info.task", Val: task.Self},
		{Name: "info.startTime", Val: time.Now()},
	})
	ctx.WithLock(about, func() {
		recent := append(slices.Clone(about.Entity().RecentTask), task.Self)
		ctx.Update(about, []types.PropertyChange{{Name: "recentTask", Val: recent}})
	})
	go func() {
		fault, text := rule.buildFor(c), rule.text()
		if !vc.work(task, time.Duration(rule.DelayMS)*time.Millisecond) {
			fault, text = new(types.RequestCanceled), "The task was canceled by a user."
		}
		vc.registry().AtomicUpdate(vc.newContext(), task, []types.PropertyChange{
			{Name: "info.completeTime", Val: time.Now()},
			{Name: "info.error", Val: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: text}},
			{Name: "info.state", Val: types.TaskInfoStateError},
		})
	}()
	return task.Self
}
