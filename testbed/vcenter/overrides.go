package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// overrides names the methods that this double answers instead of the simulator. The object that a builder returns
// must have a method of that name (Foo_Task is FooTask there); nil leaves the call to the simulator.
var overrides = map[string]func(*vCenter, mo.Reference) mo.Reference{
	"CloneVM_Task":             overrideVM,
	"ReconfigVM_Task":          overrideVM,
	"Destroy_Task":             overrideDestroy,
	"PowerOnMultiVM_Task":      overrideDatacenter,
	"RefreshDatastore":         overrideDatastore,
	"DeleteDatastoreFile_Task": overrideFileManager,
}

var overrideCount atomic.Int64

// override is the simulator's hook on every call. The simulator looks a session's object up after the hook and
// prefers it, so the call is redirected to a reference that nobody knows: then the hook's answer stands.
func (vc *vCenter) override(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	complete(method)
	if ctx.Session != nil && method.This.Type == "PropertyCollector" {
		if c, ok := ctx.Session.Get(method.This).(*collector); ok {
			c.adopt(vc)
		}
	}
	if ctx.Session != nil && method.Name == "Logout" {
		closeCollectors(ctx)
	}
	build, ok := overrides[method.Name]
	if !ok || ctx.Session == nil {
		return nil, nil
	}
	object := ctx.Session.Get(method.This)
	if object == nil {
		return nil, nil
	}
	handler := build(vc, object)
	if handler == nil {
		return nil, nil
	}
	method.This = types.ManagedObjectReference{Type: "Override", Value: fmt.Sprint(overrideCount.Add(1))}
	return handler, nil
}

// closeCollectors ends the waits of a session that logs out.
func closeCollectors(ctx *simulator.Context) {
	for _, object := range ctx.Session.Registry.AllReference("PropertyCollector") {
		if c, ok := object.(*collector); ok {
			c.close(ctx)
		}
	}
}

// complete fills in optional arguments without which the simulator breaks.
func complete(method *simulator.Method) {
	var spec **types.HostDatastoreBrowserSearchSpec
	switch body := method.Body.(type) {
	case *types.SearchDatastore_Task:
		spec = &body.SearchSpec
	case *types.SearchDatastoreSubFolders_Task:
		spec = &body.SearchSpec
	default:
		return
	}
	if *spec == nil {
		*spec = new(types.HostDatastoreBrowserSearchSpec)
	}
	if len((*spec).MatchPattern) == 0 {
		(*spec).MatchPattern = []string{"*"}
	}
	if (*spec).Details == nil {
		(*spec).Details = new(types.FileQueryFlags)
	}
}

// detached returns a context with locks of its own that acts for the same session.
func detached(ctx *simulator.Context) *simulator.Context {
	return &simulator.Context{Context: context.Background(), Session: ctx.Session, Map: ctx.Map}
}

type taskRun func(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault)

// runTask starts a task about an object without holding that object's lock meanwhile, as the simulator's own tasks
// do: a clone that takes a minute must not keep others from reading its template. method is the API's name of it,
// id what TaskInfo.descriptionId says.
func (vc *vCenter) runTask(
	ctx *simulator.Context, about mo.Entity, method, id string, run taskRun,
) types.ManagedObjectReference {
	nobody := types.ManagedObjectReference{Type: "Override", Value: fmt.Sprint(overrideCount.Add(1))}
	own := detached(ctx)
	task := simulator.CreateTask(nobody, id, func(task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return run(own, task)
	})
	entity := about.Reference()
	task.Info.Name = method
	task.Info.DescriptionId = id
	task.Info.EntityName = about.Entity().Name
	if ctx.Session != nil {
		task.Info.Reason = &types.TaskReasonUser{UserName: ctx.Session.UserName}
	}
	ref := task.Run(own)
	vc.registry().AtomicUpdate(detached(ctx), task, []types.PropertyChange{{Name: "info.entity", Val: entity}})
	return ref
}

// await lets an inner task of the simulator finish, takes it off the inventory, and returns how it ended.
func (vc *vCenter) await(ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	task := vc.registry().Get(ref).(*simulator.Task)
	task.Wait()
	vc.registry().Remove(vc.newContext(), ref)
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

// work lets a task take its time, with progress; false when somebody cancelled it.
func (vc *vCenter) work(task *simulator.Task, duration time.Duration) bool {
	const steps = 10
	for step := range steps {
		time.Sleep(duration / steps)
		cancelled := false
		ctx := vc.newContext()
		ctx.WithLock(task, func() {
			cancelled = task.Info.State == types.TaskInfoStateError
			if !cancelled {
				ctx.Update(task, []types.PropertyChange{{Name: "info.progress", Val: int32((step + 1) * 90 / steps)}})
			}
		})
		if cancelled {
			return false
		}
	}
	return true
}

// virtualMachine answers for a VM; what it does not override is the simulator's.
type virtualMachine struct {
	*simulator.VirtualMachine
	vc *vCenter
}

func overrideVM(vc *vCenter, object mo.Reference) mo.Reference {
	if vm, ok := object.(*simulator.VirtualMachine); ok {
		return &virtualMachine{vm, vc}
	}
	return nil
}

func overrideDestroy(vc *vCenter, object mo.Reference) mo.Reference {
	switch o := object.(type) {
	case *simulator.VirtualMachine:
		return &virtualMachine{o, vc}
	case *simulator.Folder:
		return &folder{o, vc}
	}
	return nil
}

func overrideDatacenter(vc *vCenter, object mo.Reference) mo.Reference {
	if dc, ok := object.(*simulator.Datacenter); ok {
		return &datacenter{dc, vc}
	}
	return nil
}

func overrideDatastore(vc *vCenter, object mo.Reference) mo.Reference {
	if ds, ok := object.(*simulator.Datastore); ok {
		return &datastore{ds, vc}
	}
	return nil
}

func overrideFileManager(vc *vCenter, object mo.Reference) mo.Reference {
	if m, ok := object.(*simulator.FileManager); ok {
		return &fileManager{m, vc}
	}
	return nil
}
