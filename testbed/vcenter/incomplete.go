package main

import (
	"sync"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// incomplete knows the VMs that a clone is just making: they can be seen by name, but have no configuration yet, and
// nobody can do anything with them.
type incomplete struct {
	count atomic.Int32 // lets the many reads while nothing is cloned pass quickly

	mu     sync.Mutex
	freed  *sync.Cond
	places map[place]types.ManagedObjectReference                        // of those that are not known by reference yet
	makers map[types.ManagedObjectReference]types.ManagedObjectReference // VM -> its clone's task
}

type place struct {
	folder types.ManagedObjectReference
	name   string
}

// making is one VM on its way.
type making struct {
	*incomplete
	place place
	task  types.ManagedObjectReference
	ref   types.ManagedObjectReference
}

func newIncomplete() *incomplete {
	i := &incomplete{
		places: map[place]types.ManagedObjectReference{},
		makers: map[types.ManagedObjectReference]types.ManagedObjectReference{},
	}
	i.freed = sync.NewCond(&i.mu)
	return i
}

// begin marks a VM until it is complete. Of two with the same place the second waits until the first is made.
func (i *incomplete) begin(where place, task types.ManagedObjectReference) *making {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.places[where].Value != "" {
		i.freed.Wait()
	}
	i.places[where] = task
	i.count.Add(1)
	return &making{incomplete: i, place: where, task: task}
}

// made tells which VM it has become; its place can be looked at by others from now on.
func (m *making) made(ref types.ManagedObjectReference) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ref = ref
	m.makers[ref] = m.task
	delete(m.places, m.place)
	m.freed.Broadcast()
}

// complete lets everybody see the VM as it is; or takes the mark off one that was never made.
func (m *making) complete() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ref.Value == "" {
		delete(m.places, m.place)
		m.freed.Broadcast()
	}
	delete(m.makers, m.ref)
	m.count.Add(-1)
}

// has says whether a VM is being made.
func (i *incomplete) has(vc *vCenter, ref types.ManagedObjectReference) bool {
	_, found := i.maker(vc, ref)
	return found
}

// maker returns the task that is making a VM.
func (i *incomplete) maker(vc *vCenter, ref types.ManagedObjectReference) (types.ManagedObjectReference, bool) {
	if i.count.Load() == 0 || ref.Type != "VirtualMachine" {
		return types.ManagedObjectReference{}, false
	}
	i.mu.Lock()
	task, known := i.makers[ref]
	places := len(i.places)
	i.mu.Unlock()
	if known || places == 0 {
		return task, known
	}
	vm, ok := vc.registry().Get(ref).(*simulator.VirtualMachine)
	if !ok || vm.Parent == nil {
		return types.ManagedObjectReference{}, false
	}
	var where place
	vc.newContext().WithLock(vm, func() { where = place{*vm.Parent, vm.Name} })
	i.mu.Lock()
	defer i.mu.Unlock()
	if task, known = i.makers[ref]; known { // made between the two looks
		return task, true
	}
	task, known = i.places[where]
	return task, known || where.name == "" // the simulator shows a VM before it names it
}

// hidesOf names the properties that are unset for now: of a VM in the making, and of one whose files cannot be read.
func (vc *vCenter) hidesOf(ref types.ManagedObjectReference) []string {
	switch {
	case ref.Type != "VirtualMachine":
		return nil
	case vc.incomplete.has(vc, ref):
		return []string{"config", "summary", "guest", "layout", "storage"}
	case vc.unreadable(ref):
		return []string{"config"}
	}
	return nil
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

type searchIndex struct {
	*simulator.SearchIndex
	vc *vCenter
}

func overrideSearchIndex(vc *vCenter, object mo.Reference) mo.Reference {
	if index, ok := object.(*simulator.SearchIndex); ok {
		return &searchIndex{index, vc}
	}
	return nil
}

// FindByUuid does not find what has no configuration yet.
func (s *searchIndex) FindByUuid(ctx *simulator.Context, req *types.FindByUuid) soap.HasFault {
	answer := s.SearchIndex.FindByUuid(ctx, req)
	if body, ok := answer.(*methods.FindByUuidBody); ok && body.Res != nil && body.Res.Returnval != nil {
		if s.vc.incomplete.has(s.vc, *body.Res.Returnval) {
			body.Res.Returnval = nil
		}
	}
	return answer
}

// FindAllByUuid does not find what has no configuration yet.
func (s *searchIndex) FindAllByUuid(ctx *simulator.Context, req *types.FindAllByUuid) soap.HasFault {
	answer := s.SearchIndex.FindAllByUuid(ctx, req)
	if body, ok := answer.(*methods.FindAllByUuidBody); ok && body.Res != nil {
		found := body.Res.Returnval[:0:0]
		for _, ref := range body.Res.Returnval {
			if !s.vc.incomplete.has(s.vc, ref) {
				found = append(found, ref)
			}
		}
		body.Res.Returnval = found
	}
	return answer
}
