package main

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// discoveredFolder is where a vCenter puts VMs that come with a host.
const discoveredFolder = "Discovered virtual machine"

// outages knows what really goes on on hosts that vCenter does not reach, and what a test has said about single VMs.
type outages struct {
	mu      sync.Mutex
	states  map[types.ManagedObjectReference]types.VirtualMachineConnectionState // other than by their hosts
	powers  map[types.ManagedObjectReference]types.VirtualMachinePowerState      // that nobody has seen yet
	removed map[string]*removedHost                                              // by name
}

type removedHost struct {
	host *simulator.HostSystem
	vms  []*simulator.VirtualMachine
}

func newOutages() *outages {
	return &outages{
		states:  map[types.ManagedObjectReference]types.VirtualMachineConnectionState{},
		powers:  map[types.ManagedObjectReference]types.VirtualMachinePowerState{},
		removed: map[string]*removedHost{},
	}
}

func (vc *vCenter) host(ref *types.ManagedObjectReference) (*simulator.HostSystem, bool) {
	if ref == nil {
		return nil, false
	}
	host, ok := vc.registry().Get(*ref).(*simulator.HostSystem)
	return host, ok
}

func (vc *vCenter) hostOfVM(vm *simulator.VirtualMachine) (*simulator.HostSystem, bool) {
	var ref *types.ManagedObjectReference
	vc.newContext().WithLock(vm, func() { ref = vm.Runtime.Host })
	return vc.host(ref)
}

func (vc *vCenter) vmsOn(host *simulator.HostSystem) []*simulator.VirtualMachine {
	var found []*simulator.VirtualMachine
	for _, entity := range vc.registry().All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		if own, ok := vc.hostOfVM(vm); ok && own == host {
			found = append(found, vm)
		}
	}
	return found
}

// unreachable says what fault a call to a host ends with.
func (vc *vCenter) unreachable(host *simulator.HostSystem) (fault types.BaseMethodFault) {
	vc.newContext().WithLock(host, func() {
		switch host.Runtime.ConnectionState {
		case types.HostSystemConnectionStateDisconnected:
			fault = new(types.HostNotConnected)
		case types.HostSystemConnectionStateNotResponding:
			fault = new(types.HostNotReachable)
		}
	})
	return fault
}

// setHostState is what vCenter notices; its VMs keep what was last known of them.
func (vc *vCenter) setHostState(host *simulator.HostSystem, state types.HostSystemConnectionState) {
	ctx := vc.newContext()
	ctx.AutoUpdate(host, func() {
		host.Runtime.ConnectionState = state
		host.Runtime.PowerState = types.HostSystemPowerStateUnknown
		if state == types.HostSystemConnectionStateConnected {
			host.Runtime.PowerState = types.HostSystemPowerStatePoweredOn
		}
	})
	for _, vm := range vc.vmsOn(host) {
		vc.showConnection(vm)
	}
}

// showConnection sets a VM's connection state, and tells what happened meanwhile when it is connected again.
func (vc *vCenter) showConnection(vm *simulator.VirtualMachine) {
	state := types.VirtualMachineConnectionStateConnected
	if host, ok := vc.hostOfVM(vm); ok && vc.unreachable(host) != nil {
		state = types.VirtualMachineConnectionStateDisconnected
	}
	vc.outages.mu.Lock()
	if said, ok := vc.outages.states[vm.Self]; ok && state == types.VirtualMachineConnectionStateConnected {
		state = said
	}
	power, stale := vc.outages.powers[vm.Self]
	if state == types.VirtualMachineConnectionStateConnected {
		delete(vc.outages.powers, vm.Self)
	}
	vc.outages.mu.Unlock()
	vc.newContext().AutoUpdate(vm, func() {
		vm.Runtime.ConnectionState = state
		vm.Summary.Runtime.ConnectionState = state
	})
	if stale && state == types.VirtualMachineConnectionStateConnected {
		vc.setPower(vm, power)
	}
}

// setPower changes a VM's power without a task, as happens on its host.
func (vc *vCenter) setPower(vm *simulator.VirtualMachine, state types.VirtualMachinePowerState) {
	ctx := vc.newContext()
	ctx.WithLock(vm, func() {
		if vm.Runtime.PowerState != state {
			ctx.Update(vm, []types.PropertyChange{
				{Name: "runtime.powerState", Val: state}, {Name: "summary.runtime.powerState", Val: state}})
		}
	})
}

// powerBehind changes a VM's power on its host; vCenter sees it when it sees the host.
func (vc *vCenter) powerBehind(vm *simulator.VirtualMachine, state types.VirtualMachinePowerState) {
	if host, ok := vc.hostOfVM(vm); ok && vc.unreachable(host) == nil {
		vc.setPower(vm, state)
		return
	}
	vc.outages.mu.Lock()
	defer vc.outages.mu.Unlock()
	vc.outages.powers[vm.Self] = state
}

// say sets a VM's connection state apart from its host's.
func (vc *vCenter) say(vm *simulator.VirtualMachine, state types.VirtualMachineConnectionState) {
	vc.outages.mu.Lock()
	delete(vc.outages.states, vm.Self)
	if state != types.VirtualMachineConnectionStateConnected {
		vc.outages.states[vm.Self] = state
	}
	vc.outages.mu.Unlock()
	vc.showConnection(vm)
}

// unreadable says whether a VM's files cannot be read, so that vCenter has no configuration of it.
func (vc *vCenter) unreadable(ref types.ManagedObjectReference) bool {
	vc.outages.mu.Lock()
	defer vc.outages.mu.Unlock()
	state := vc.outages.states[ref]
	return state == types.VirtualMachineConnectionStateInaccessible || state == types.VirtualMachineConnectionStateInvalid
}

// unusable says why an operation on a VM does not reach it.
func (vc *vCenter) unusable(vm *simulator.VirtualMachine, method string) types.BaseMethodFault {
	if method == "MoveIntoFolder_Task" {
		return nil // vCenter's own matter
	}
	if host, ok := vc.hostOfVM(vm); ok {
		if fault := vc.unreachable(host); fault != nil {
			return fault
		}
	}
	vc.outages.mu.Lock()
	defer vc.outages.mu.Unlock()
	if _, said := vc.outages.states[vm.Self]; said && method != "UnregisterVM" {
		return new(types.InvalidState)
	}
	return nil
}

// usable are the hosts that can take a VM.
func (vc *vCenter) usable(refs []types.ManagedObjectReference) []types.ManagedObjectReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref types.ManagedObjectReference) bool {
		host, ok := vc.host(&ref)
		if !ok || vc.unreachable(host) != nil {
			return true
		}
		var maintained bool
		vc.newContext().WithLock(host, func() { maintained = host.Runtime.InMaintenanceMode })
		return maintained
	})
}

// restartElsewhere is what vSphere HA does with the running VMs of a failed host.
func (vc *vCenter) restartElsewhere(failed *simulator.HostSystem) {
	hosts := vc.usable(vc.hostsOf(*failed.Parent))
	if len(hosts) == 0 {
		return
	}
	for _, vm := range vc.vmsOn(failed) {
		var running bool
		vc.newContext().WithLock(vm, func() {
			running = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		})
		if running {
			vc.changeHost(vm, hosts[rand.IntN(len(hosts))])
			vc.showConnection(vm)
			vc.setPower(vm, types.VirtualMachinePowerStatePoweredOff)
			vc.setPower(vm, types.VirtualMachinePowerStatePoweredOn)
		}
	}
}

func hostList(object mo.Reference) *[]types.ManagedObjectReference {
	switch compute := object.(type) {
	case *simulator.ClusterComputeResource:
		return &compute.Host
	case *mo.ComputeResource:
		return &compute.Host
	}
	return nil
}

// changeHost lets another host run a VM.
func (vc *vCenter) changeHost(vm *simulator.VirtualMachine, to types.ManagedObjectReference) {
	ctx := vc.newContext()
	if from, ok := vc.hostOfVM(vm); ok {
		vc.registry().RemoveReference(ctx, from, &from.Vm, vm.Self)
	}
	if host, ok := vc.host(&to); ok {
		vc.registry().AddReference(ctx, host, &host.Vm, vm.Self)
	}
	vc.registry().AtomicUpdate(ctx, vm, []types.PropertyChange{
		{Name: "runtime.host", Val: &to}, {Name: "summary.runtime.host", Val: &to}})
}

// removeHost takes a host out of the inventory with its VMs, which stay on their datastores.
func (vc *vCenter) removeHost(host *simulator.HostSystem) {
	gone := &removedHost{host: host, vms: vc.vmsOn(host)}
	for _, vm := range gone.vms {
		vc.leaveInventory(vm)
	}
	if compute, ok := vc.registry().Get(*host.Parent).(mo.Entity); ok {
		vc.newContext().AutoUpdate(compute, func() {
			list := hostList(compute)
			*list = without(*list, host.Self)
		})
	}
	vc.registry().Remove(vc.newContext(), host.Self)
	vc.outages.mu.Lock()
	defer vc.outages.mu.Unlock()
	vc.outages.removed[host.Name] = gone
}

// addHost brings a removed host back, as what it is for a vCenter: a host and VMs that it has never seen.
func (vc *vCenter) addHost(gone *removedHost) {
	before := gone.host.Self
	vc.registry().NewEntity(gone.host)
	vc.newContext().WithLock(gone.host, func() {
		gone.host.Vm = nil
		gone.host.Runtime.ConnectionState = types.HostSystemConnectionStateConnected
	})
	if compute, ok := vc.registry().Get(*gone.host.Parent).(mo.Entity); ok {
		vc.newContext().AutoUpdate(compute, func() {
			list := hostList(compute)
			*list = append(*list, gone.host.Self)
		})
	}
	vc.registry().Put(gone.host)
	vc.remount(before, gone.host.Self)
	for _, vm := range gone.vms {
		vc.enterInventory(vm, gone.host)
	}
}

// remount lets datastores and networks know a host by its new reference.
func (vc *vCenter) remount(before, now types.ManagedObjectReference) {
	replace := func(refs []types.ManagedObjectReference) {
		for i := range refs {
			if refs[i] == before {
				refs[i] = now
			}
		}
	}
	for _, entity := range vc.registry().All("") {
		vc.newContext().WithLock(entity, func() {
			switch owner := entity.(type) {
			case *simulator.Datastore:
				for i := range owner.Host {
					if owner.Host[i].Key == before {
						owner.Host[i].Key = now
					}
				}
			case *mo.Network:
				replace(owner.Host)
			case *simulator.DistributedVirtualPortgroup:
				replace(owner.Host)
			case *simulator.DistributedVirtualSwitch:
				replace(owner.Summary.HostMember)
			}
		})
	}
}

// leaveInventory forgets a VM, but for its files.
func (vc *vCenter) leaveInventory(vm *simulator.VirtualMachine) {
	ctx := vc.newContext()
	if folder, ok := vc.registry().Get(*vm.Parent).(*simulator.Folder); ok {
		ctx.WithLock(folder, func() { simulator.RemoveReference(&folder.ChildEntity, vm.Self) })
	}
	vc.listVM(ctx, vm, false)
	vc.registry().Remove(ctx, vm.Self)
}

// enterInventory takes in a VM that was found on a host.
func (vc *vCenter) enterInventory(vm *simulator.VirtualMachine, host *simulator.HostSystem) {
	ctx := vc.newContext()
	folder := vc.discovered()
	vc.registry().NewEntity(vm)
	ctx.WithLock(vm, func() {
		vm.Runtime.Host, vm.Summary.Runtime.Host = &host.Self, &host.Self
		vm.Runtime.ConnectionState = types.VirtualMachineConnectionStateConnected
		vm.Summary.Runtime.ConnectionState = vm.Runtime.ConnectionState
		vm.Summary.Vm = &vm.Self
		vm.Parent = &folder.Self
		vm.RecentTask = nil
	})
	ctx.AutoUpdate(folder, func() { folder.ChildEntity = append(folder.ChildEntity, vm.Self) })
	vc.registry().PutEntity(folder, vm)
	vc.listVM(ctx, vm, true)
}

// listVM adds a VM to, or takes it off, what lists its VMs.
func (vc *vCenter) listVM(ctx *simulator.Context, vm *simulator.VirtualMachine, there bool) {
	var on *types.ManagedObjectReference
	ctx.WithLock(vm, func() { on = vm.Runtime.Host })
	change := vc.registry().RemoveReference
	if there {
		change = vc.registry().AddReference
	}
	if host, ok := vc.host(on); ok {
		change(ctx, host, &host.Vm, vm.Self)
	}
	if vm.ResourcePool != nil {
		if pool, ok := vc.registry().Get(*vm.ResourcePool).(*simulator.ResourcePool); ok {
			change(ctx, pool, &pool.Vm, vm.Self)
		}
	}
	for _, ref := range vm.Datastore {
		if ds, ok := vc.registry().Get(ref).(*simulator.Datastore); ok {
			change(ctx, ds, &ds.Vm, vm.Self)
		}
	}
}

func (vc *vCenter) discovered() *simulator.Folder {
	datacenter := vc.registry().Any("Datacenter").(*simulator.Datacenter)
	parent := vc.registry().Get(datacenter.VmFolder).(*simulator.Folder)
	if found := vc.registry().FindByName(discoveredFolder, parent.ChildEntity); found != nil {
		return found.(*simulator.Folder)
	}
	ctx := vc.newContext()
	ctx.WithLock(parent, func() {
		parent.CreateFolder(ctx, &types.CreateFolder{This: parent.Self, Name: discoveredFolder})
	})
	return vc.registry().FindByName(discoveredFolder, parent.ChildEntity).(*simulator.Folder)
}
