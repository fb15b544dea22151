package main

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// guests plays what runs inside the VMs.
type guests struct {
	vc *vCenter

	mu     sync.Mutex
	booted []string
}

func newGuests(vc *vCenter) *guests { return &guests{vc: vc} }

func (g *guests) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Guests", Value: "guests"}
}
func (g *guests) PutObject(*simulator.Context, mo.Reference)                            {}
func (g *guests) RemoveObject(*simulator.Context, types.ManagedObjectReference)         {}
func (g *guests) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

func (g *guests) bootsWithoutData() []string { return []string{} }

type toolsState int

const (
	toolsDown toolsState = iota
	toolsUp
)

func setTools(vm *simulator.VirtualMachine, s toolsState) {
	vm.Guest.ToolsStatus = types.VirtualMachineToolsStatusToolsNotRunning
	vm.Guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
}
