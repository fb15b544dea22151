package main

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unsafe"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// settling is how long a restore waits for tasks that are under way.
const settling = 30 * time.Second

// backup is what POST /backup remembers: what there is, and how far MoRefs have been counted.
type backup struct {
	objects map[types.ManagedObjectReference]bool
	counter int64
}

func (vc *vCenter) postBackup(http.ResponseWriter, *http.Request) {
	vc.restarting.Lock()
	defer vc.restarting.Unlock()
	vc.backup = &backup{map[types.ManagedObjectReference]bool{}, atomic.LoadInt64(vc.counter())}
	for _, object := range vc.registry().AllReference("") {
		vc.backup.objects[object.Reference()] = true
	}
}

// counter is the number of the newest MoRef; the simulator has no way to set it.
func (vc *vCenter) counter() *int64 {
	return (*int64)(unsafe.Pointer(reflect.ValueOf(vc.registry()).Elem().FieldByName("counter").UnsafeAddr()))
}

// restore makes vCenter forget the VMs that it has got since the backup, and count MoRefs on from what is left. Their
// files stay, as they do on the hosts.
func (vc *vCenter) restore() {
	for deadline := time.Now().Add(settling); vc.isBusy() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	for _, entity := range vc.registry().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok && !vc.backup.objects[vm.Self] {
			vc.unregister(vm)
		}
	}
	vc.forget() // the events of what was just done included
	atomic.StoreInt64(vc.counter(), vc.countOn())
}

// countOn is the number that nothing in the inventory has passed: what was made since and is no VM stays.
func (vc *vCenter) countOn() int64 {
	highest := vc.backup.counter
	for _, entity := range vc.registry().All("") {
		ref := entity.Reference()
		suffix := strings.TrimLeftFunc(ref.Value, func(r rune) bool { return !unicode.IsDigit(r) })
		if n, err := strconv.ParseInt(suffix, 10, 64); err == nil && !vc.backup.objects[ref] {
			highest = max(highest, n)
		}
	}
	return highest
}

// isBusy says whether a task is still at work, one that nobody can see any more included.
func (vc *vCenter) isBusy() bool {
	return slices.ContainsFunc(vc.registry().AllReference("Task"), func(object mo.Reference) bool {
		task, ok := object.(*simulator.Task)
		if !ok {
			return false
		}
		over := false
		vc.newContext().WithLock(task, func() { over = isOver(task.Info.State) })
		return !over
	})
}

// unregister takes a VM out of the inventory, also one that is running.
func (vc *vCenter) unregister(vm *simulator.VirtualMachine) {
	ctx := vc.newContext()
	vc.registry().AtomicUpdate(ctx, vm, []types.PropertyChange{
		{Name: "runtime.powerState", Val: types.VirtualMachinePowerStatePoweredOff}})
	ctx.WithLock(vm, func() { vm.UnregisterVM(ctx, &types.UnregisterVM{This: vm.Self}) })
}
