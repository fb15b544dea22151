package main

import (
	"sync"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// incomplete knows the VMs that a clone is just making: they can be seen by name, but have no configuration yet.
type incomplete struct {
	count   atomic.Int32
	mu      sync.Mutex
	pending map[incompleteVM]bool
}

type incompleteVM struct {
	folder types.ManagedObjectReference
	name   string
}

// begin marks a VM until the returned function is called.
func (i *incomplete) begin(folder types.ManagedObjectReference, name string) func() {
	key := incompleteVM{folder, name}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pending == nil {
		i.pending = map[incompleteVM]bool{}
	}
	i.pending[key] = true
	i.count.Add(1)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.pending, key)
		i.count.Add(-1)
	}
}

// has says whether a VM is being made. Its parent and name are set before it can be found, and do not change while
// it is marked.
func (i *incomplete) has(vc *vCenter, ref types.ManagedObjectReference) bool {
	if i.count.Load() == 0 || ref.Type != "VirtualMachine" {
		return false
	}
	vm, ok := vc.registry().Get(ref).(*simulator.VirtualMachine)
	if !ok || vm.Parent == nil {
		return false
	}
	var key incompleteVM
	vc.newContext().WithLock(vm, func() { key = incompleteVM{*vm.Parent, vm.Name} })
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pending[key]
}

// touch gives a VM a new change version, which tells those who wait for changes to look at it again.
func (vc *vCenter) touch(ref types.ManagedObjectReference) {
	vm, ok := vc.registry().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	vc.registry().AtomicUpdate(vc.newContext(), vm, []types.PropertyChange{
		{Name: "config.changeVersion", Val: changeVersion()}})
}
