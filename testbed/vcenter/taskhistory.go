package main

import (
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// cancelable are the methods whose tasks somebody can cancel.
var cancelable = []string{"CloneVM_Task", "RelocateVM_Task", "MigrateVM_Task", "EnterMaintenanceMode_Task"}

type task struct {
	*simulator.Task
	vc *vCenter
}

func overrideTask(vc *vCenter, object mo.Reference) mo.Reference {
	if t, ok := object.(*simulator.Task); ok {
		return &task{t, vc}
	}
	return nil
}

// CancelTask only asks: the task ends when it has cleaned up. The simulator ends it at once.
func (t *task) CancelTask(ctx *simulator.Context, _ *types.CancelTask) soap.HasFault {
	body := new(methods.CancelTaskBody)
	switch {
	case isOver(t.Info.State):
		body.Fault_ = simulator.Fault("", new(types.InvalidState))
	case !t.Info.Cancelable:
		body.Fault_ = simulator.Fault("", new(types.NotSupported))
	default:
		ctx.Update(t.Task, []types.PropertyChange{{Name: "info.cancelled", Val: true}})
		body.Res = new(types.CancelTaskResponse)
	}
	return body
}

// durations says how long tasks take, by the method that starts them.
type durations struct {
	mu     sync.Mutex
	method map[string]time.Duration
	held   []string // methods whose tasks do not go on until a test lets them
}

func newDurations(clone time.Duration) *durations {
	return &durations{method: map[string]time.Duration{"CloneVM_Task": clone}}
}

func (d *durations) of(method string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.method[method]
}

func (d *durations) set(method string, duration time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.method[method] = duration
}

func (d *durations) hold(methods []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = methods
}

func (d *durations) holds(method string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.held, method)
}

// finishedTasks forgets tasks some time after they have ended, as a vCenter does.
type finishedTasks struct {
	mu    sync.Mutex
	keep  time.Duration
	ended []endedTask // oldest first
}

type endedTask struct {
	ref  types.ManagedObjectReference
	time time.Time
}

func newFinishedTasks(keep time.Duration) *finishedTasks { return &finishedTasks{keep: keep} }

// Reference makes finishedTasks a handler of the simulator's registry.
func (*finishedTasks) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "FinishedTasks", Value: "finishedTasks"}
}

// PutObject has nothing to do.
func (*finishedTasks) PutObject(*simulator.Context, mo.Reference) {}

// RemoveObject has nothing to do.
func (*finishedTasks) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// UpdateObject notes when a task ends.
func (f *finishedTasks) UpdateObject(_ *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	if _, ok := object.(*mo.Task); !ok {
		return
	}
	for _, change := range changes {
		if state, ok := change.Val.(types.TaskInfoState); ok && isOver(state) {
			f.mu.Lock()
			f.ended = append(f.ended, endedTask{object.Reference(), time.Now()})
			f.mu.Unlock()
		}
	}
}

func (f *finishedTasks) setKeep(keep time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep = keep
}

// expired takes out those whose time is over.
func (f *finishedTasks) expired() []types.ManagedObjectReference {
	f.mu.Lock()
	defer f.mu.Unlock()
	var refs []types.ManagedObjectReference
	for len(f.ended) > 0 && time.Since(f.ended[0].time) >= f.keep {
		refs = append(refs, f.ended[0].ref)
		f.ended = f.ended[1:]
	}
	return refs
}

// forgetTasks removes tasks whose time is over, for as long as the double runs.
func (vc *vCenter) forgetTasks() {
	const interval = 50 * time.Millisecond
	for range time.Tick(interval) {
		for _, ref := range vc.finished.expired() {
			vc.forgetTask(ref)
		}
	}
}

// forgetTask removes a task, also from the lists of recent ones.
func (vc *vCenter) forgetTask(ref types.ManagedObjectReference) {
	done, ok := vc.registry().Get(ref).(*simulator.Task)
	if !ok {
		return // one of the simulator's own, which is gone already
	}
	ctx := vc.newContext()
	vc.registry().Remove(ctx, ref)
	if manager, ok := vc.registry().Get(*vc.client.ServiceContent.TaskManager).(*simulator.TaskManager); ok {
		manager.Lock()
		ctx.Update(manager, []types.PropertyChange{{Name: "recentTask", Val: without(manager.RecentTask, ref)}})
		manager.Unlock()
	}
	if done.Info.Entity == nil {
		return
	}
	if entity, ok := vc.registry().Get(*done.Info.Entity).(mo.Entity); ok {
		ctx.WithLock(entity, func() {
			ctx.Update(entity, []types.PropertyChange{
				{Name: "recentTask", Val: without(entity.Entity().RecentTask, ref)}})
		})
	}
}

func without(refs []types.ManagedObjectReference, gone types.ManagedObjectReference) []types.ManagedObjectReference {
	left := []types.ManagedObjectReference{}
	for _, ref := range refs {
		if ref != gone {
			left = append(left, ref)
		}
	}
	return left
}
