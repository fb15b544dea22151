package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// detached returns a context with locks of its own that acts for the same session.
func detached(ctx *simulator.Context) *simulator.Context {
	return &simulator.Context{Context: context.Background(), Session: ctx.Session, Map: ctx.Map}
}

// nobody is the type of the references that stand for nothing in the inventory.
const nobody = "Override"

type taskRun func(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault)

// runTask starts a task about an object without holding that object's lock meanwhile, as the simulator's own tasks
// do: a clone that takes a minute must not keep others from reading its template. method is the API's name of it,
// id what TaskInfo.descriptionId says.
func (vc *vCenter) runTask(
	ctx *simulator.Context, about mo.Entity, method, id string, run taskRun,
) types.ManagedObjectReference {
	lock := types.ManagedObjectReference{Type: nobody, Value: fmt.Sprint(overrideCount.Add(1))}
	own := detached(ctx)
	if method != "CloneVM_Task" { // which knows itself when to take its time
		run = vc.slowly(method, run)
	}
	task := simulator.CreateTask(lock, id, func(task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return run(own, task)
	})
	entity := about.Reference()
	task.Info.Name = method
	task.Info.DescriptionId = id
	task.Info.Cancelable = slices.Contains(cancelable, method)
	task.Info.EntityName = about.Entity().Name
	if ctx.Session != nil {
		task.Info.Reason = &types.TaskReasonUser{UserName: ctx.Session.UserName}
	}
	ref := task.Run(own)
	vc.registry().AtomicUpdate(detached(ctx), task, []types.PropertyChange{{Name: "info.entity", Val: entity}})
	ctx.WithLock(about, func() {
		recent := append(slices.Clone(about.Entity().RecentTask), ref)
		ctx.Update(about, []types.PropertyChange{{Name: "recentTask", Val: recent}})
	})
	return ref
}

// await lets an inner task of the simulator finish, takes it off the inventory, and returns how it ended.
func (vc *vCenter) await(ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	task := vc.registry().Get(ref).(*simulator.Task)
	ctx := vc.newContext()
	for done := false; !done; {
		time.Sleep(time.Millisecond)
		ctx.WithLock(task, func() { done = isOver(task.Info.State) })
	}
	vc.registry().Remove(vc.newContext(), ref)
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

func isOver(state types.TaskInfoState) bool {
	return state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError
}

// slowly lets a method's task take the time that a test has set for it, and only then do what it does.
func (vc *vCenter) slowly(method string, run taskRun) taskRun {
	return func(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if !vc.takeTime(task, method) {
			return nil, new(types.RequestCanceled)
		}
		return run(ctx, task)
	}
}

// takeTime lets a task of a method take as long as a test has set for it; false when somebody cancelled it.
func (vc *vCenter) takeTime(task *simulator.Task, method string) bool {
	if !vc.work(task, vc.durations.of(method)) {
		return false
	}
	for vc.durations.holds(method) {
		if !vc.pause(task, 10*time.Millisecond) {
			return false
		}
	}
	return true
}

// work lets a task take its time, with progress; false when somebody cancelled it.
func (vc *vCenter) work(task *simulator.Task, duration time.Duration) bool {
	const steps = 10
	if duration <= 0 {
		return !vc.cancelled(task)
	}
	for step := range steps {
		if !vc.pause(task, duration/steps) {
			return false
		}
		vc.registry().AtomicUpdate(vc.newContext(), task, []types.PropertyChange{
			{Name: "info.progress", Val: int32((step + 1) * 90 / steps)}})
	}
	return true
}

// pause waits; false as soon as somebody cancels the task.
func (vc *vCenter) pause(task *simulator.Task, duration time.Duration) bool {
	const attention = 20 * time.Millisecond
	end := time.Now().Add(duration)
	for !vc.cancelled(task) {
		left := time.Until(end)
		if left <= 0 {
			return true
		}
		time.Sleep(min(left, attention))
	}
	return false
}

func (vc *vCenter) cancelled(task *simulator.Task) (cancelled bool) {
	vc.newContext().WithLock(task, func() { cancelled = task.Info.Cancelled })
	return cancelled
}

// innerNames are TaskInfo.name of the simulator's tasks that only our own tasks start.
var innerNames = []string{"CloneVm", "ReconfigVm", "CreateVm", "CreateVM", "PowerOn", "PowerOff", "Suspend", "Reset",
	"CreateSnapshotEx", "RemoveAllSnapshots", "RemoveSnapshot"}

// isInner says whether a task is one of the simulator's own inside of ours, which a client must not see. It is told
// by what stays the same for the task's whole life, for it can be read as soon as the registry has it: a note that
// somebody makes about it would come too late.
func isInner(task *simulator.Task) bool {
	return slices.Contains(innerNames, task.Info.Name) ||
		task.Info.Name == "Destroy" && task.Info.Entity != nil && task.Info.Entity.Type == "VirtualMachine"
}

// hides says whether a task is none that a client may see: an inner one, one that is gone, or one that does not name
// its entity yet, see runTask.
func (vc *vCenter) hides(ref types.ManagedObjectReference) (hidden bool) {
	task, ok := vc.registry().Get(ref).(*simulator.Task)
	if !ok {
		return true
	}
	vc.newContext().WithLock(task, func() {
		hidden = isInner(task) || task.Info.Entity != nil && task.Info.Entity.Type == nobody
	})
	return hidden
}

// visibleTasks drops hidden and forgotten tasks from a recentTask property.
func (vc *vCenter) visibleTasks(value types.AnyType) types.AnyType {
	var refs []types.ManagedObjectReference
	switch list := value.(type) {
	case types.ArrayOfManagedObjectReference:
		refs = list.ManagedObjectReference
	case *types.ArrayOfManagedObjectReference:
		refs = list.ManagedObjectReference
	default:
		return value
	}
	return types.ArrayOfManagedObjectReference{ManagedObjectReference: slices.DeleteFunc(slices.Clone(refs), vc.hides)}
}

// CreateVMTask wraps the simulator's, and gives the new VM addresses of its own.
func (f *folder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if fault := f.vc.checkNetworks(req.Config.DeviceChange); fault != nil {
			return nil, fault
		}
		answer := f.Folder.CreateVMTask(ctx, req)
		result, fault := f.vc.await(answer.(*methods.CreateVM_TaskBody).Res.Returnval)
		if fault != nil {
			return nil, fault
		}
		ref := result.(types.ManagedObjectReference)
		f.vc.assignAddresses(detached(ctx), f.vc.registry().Get(ref).(*simulator.VirtualMachine))
		return ref, nil
	}
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{
		Returnval: f.vc.runTask(ctx, f, "CreateVM_Task", "Folder.createVm", run)}}
}
