package main

import (
	"fmt"
	"log"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// guests plays what runs inside the VMs: a VM that boots with its data gets VMware Tools and addresses after a
// while; one that boots without is written down, and stays silent as a real one that nobody configured.
type guests struct {
	vc *vCenter

	mu          sync.Mutex
	boots       map[types.ManagedObjectReference]int // tells a boot from the next
	withoutData []dataless
	addresses   uint32
}

type dataless struct {
	Object string    `json:"object"`
	Name   string    `json:"name"`
	Time   time.Time `json:"time"`
}

func newGuests(vc *vCenter) *guests {
	return &guests{vc: vc, boots: map[types.ManagedObjectReference]int{}, withoutData: []dataless{}}
}

func (g *guests) bootsWithoutData() []dataless {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]dataless{}, g.withoutData...)
}

// Reference makes guests a handler of the simulator's registry, which tells it about every change.
func (g *guests) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Guests", Value: "guests"}
}

// PutObject completes a new VM, whose lock the caller holds, and makes a new task safe before it runs.
func (g *guests) PutObject(_ *simulator.Context, object mo.Reference) {
	switch o := object.(type) {
	case *simulator.VirtualMachine:
		completeRuntime(o)
	case *simulator.Task:
		o.Execute = survivor(o.Execute)
	}
}

// survivor lets a task fail where the simulator's code breaks on what it was asked to do; the whole double would
// end with it otherwise.
func survivor(run func(*simulator.Task) (types.AnyType, types.BaseMethodFault),
) func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
	return func(task *simulator.Task) (result types.AnyType, fault types.BaseMethodFault) {
		defer func() {
			if broken := recover(); broken != nil {
				log.Printf("task %s broke: %v\n%s", task.Info.Name, broken, debug.Stack())
				result, fault = nil, &types.SystemError{Reason: "the simulator broke; see the log of the vCenter double"}
			}
		}()
		return run(task)
	}
}

// completeRuntime sets enumerations that the simulator leaves empty, which pyVmomi cannot read.
func completeRuntime(vm *simulator.VirtualMachine) {
	for _, runtime := range []*types.VirtualMachineRuntimeInfo{&vm.Runtime, &vm.Summary.Runtime} {
		runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
		runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	}
}

// RemoveObject also takes the tags off what is gone.
func (g *guests) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	g.vc.tags.forget(ref)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.boots, ref)
}

// UpdateObject notices power changes. The caller holds the VM's lock.
func (g *guests) UpdateObject(_ *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	vm, ok := object.(*mo.VirtualMachine)
	if !ok {
		return
	}
	for _, change := range changes {
		if change.Name != "runtime.powerState" {
			continue
		}
		boot := g.nextBoot(vm.Self)
		if change.Val == types.VirtualMachinePowerStatePoweredOn {
			g.powerOn(vm, boot)
		} else {
			go g.update(vm.Self, boot, func(vm *simulator.VirtualMachine) { setTools(vm, toolsDown) })
		}
	}
}

func (g *guests) nextBoot(ref types.ManagedObjectReference) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.boots[ref]++
	return g.boots[ref]
}

func (g *guests) powerOn(vm *mo.VirtualMachine, boot int) {
	data, found := g.vc.findBootData(vm)
	if !found {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.withoutData = append(g.withoutData, dataless{vm.Self.String(), vm.Name, time.Now().UTC()})
		return
	}
	ref := vm.Self
	time.AfterFunc(g.vc.opts.tools, func() {
		g.update(ref, boot, func(vm *simulator.VirtualMachine) {
			setTools(vm, toolsUp)
			g.setAddresses(vm, data)
		})
	})
}

// update changes a VM unless its power has changed since.
func (g *guests) update(ref types.ManagedObjectReference, boot int, change func(*simulator.VirtualMachine)) {
	vm, ok := g.vc.registry().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	g.vc.newContext().AutoUpdate(vm, func() {
		g.mu.Lock()
		current := g.boots[ref] == boot
		g.mu.Unlock()
		if current {
			change(vm)
		}
	})
}

// setAddresses gives each connected network card what the boot data say, and a link-local IPv6 address.
func (g *guests) setAddresses(vm *simulator.VirtualMachine, data bootData) {
	vm.Guest.HostName = data.hostname
	vm.Summary.Guest.HostName = data.hostname
	vm.Guest.Net = nil
	count := 0
	for _, device := range vm.Config.Hardware.Device {
		nic, ok := device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		card := nic.GetVirtualEthernetCard()
		addresses := g.addressesOf(data.network.of(card.MacAddress, fmt.Sprintf("ens%d", 192+32*count)))
		count++
		reported := types.GuestNicInfo{
			Network:        networkName(g.vc, card),
			MacAddress:     card.MacAddress,
			Connected:      true,
			DeviceConfigId: card.Key,
			IpConfig:       &types.NetIpConfigInfo{},
		}
		for _, address := range addresses {
			reported.IpAddress = append(reported.IpAddress, address.Addr().String())
			reported.IpConfig.IpAddress = append(reported.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress:    address.Addr().String(),
				PrefixLength: int32(address.Bits()),
				State:        string(types.NetIpConfigInfoIpAddressStatusPreferred),
			})
		}
		vm.Guest.Net = append(vm.Guest.Net, reported)
		if vm.Guest.IpAddress == "" {
			vm.Guest.IpAddress = addresses[0].Addr().String()
			vm.Summary.Guest.IpAddress = vm.Guest.IpAddress
		}
	}
}

// addressesOf are a card's own addresses first; the DHCP server gives one where nothing else is said.
func (g *guests) addressesOf(config *cardConfig) []netip.Prefix {
	v4, v6 := g.nextAddress()
	var addresses []netip.Prefix
	if config == nil || config.dhcp {
		addresses = append(addresses, netip.PrefixFrom(v4, 8))
	}
	if config != nil {
		addresses = append(addresses, config.addresses...)
	}
	return append(addresses, netip.PrefixFrom(v6, 64))
}

// nextAddress counts through 10.20.0.1 and up, skipping what ends in 0 or 255.
func (g *guests) nextAddress() (v4, v6 netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.addresses
	g.addresses++
	high, low := n/254, n%254+1
	v4 = netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", 20+high/256, high%256, low))
	return v4, netip.MustParseAddr(fmt.Sprintf("fe80::250:56ff:fe%02x:%x", n>>16&0xff, n&0xffff))
}

func networkName(vc *vCenter, card *types.VirtualEthernetCard) string {
	switch backing := card.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return backing.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: backing.Port.PortgroupKey}
		if group, ok := vc.registry().Get(ref).(*simulator.DistributedVirtualPortgroup); ok {
			return group.Name
		}
	}
	return ""
}

type toolsState int

const (
	toolsDown toolsState = iota
	toolsUp
)

// setTools sets what vCenter knows from VMware Tools. Tools of a distribution are "unmanaged": open-vm-tools.
func setTools(vm *simulator.VirtualMachine, state toolsState) {
	status, running := types.VirtualMachineToolsStatusToolsNotRunning, types.VirtualMachineToolsRunningStatusGuestToolsNotRunning
	guestState := "notRunning"
	if state == toolsUp {
		status, running = types.VirtualMachineToolsStatusToolsOk, types.VirtualMachineToolsRunningStatusGuestToolsRunning
		guestState = "running"
	} else {
		vm.Guest.HostName, vm.Guest.IpAddress, vm.Guest.Net = "", "", nil
		vm.Summary.Guest.HostName, vm.Summary.Guest.IpAddress = "", ""
	}
	vm.Guest.ToolsStatus = status
	vm.Guest.ToolsRunningStatus = string(running)
	vm.Guest.ToolsVersionStatus2 = string(types.VirtualMachineToolsVersionStatusGuestToolsUnmanaged)
	vm.Guest.ToolsVersion = "12389"
	vm.Guest.GuestState = guestState
	vm.Summary.Guest.ToolsStatus = status
	vm.Summary.Guest.ToolsRunningStatus = string(running)
	vm.Summary.Guest.ToolsVersionStatus2 = vm.Guest.ToolsVersionStatus2
}
