package main

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type hostSystem struct {
	*simulator.HostSystem
	vc *vCenter
}

func overrideHost(vc *vCenter, object mo.Reference) mo.Reference {
	if h, ok := object.(*simulator.HostSystem); ok {
		return &hostSystem{h, vc}
	}
	return nil
}

// EnterMaintenanceModeTask waits until no VM runs on the host: there is no DRS that would move them away. The
// simulator does not wait, and tells nobody.
func (h *hostSystem) EnterMaintenanceModeTask(
	ctx *simulator.Context, req *types.EnterMaintenanceMode_Task,
) soap.HasFault {
	run := func(_ *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		started := time.Now()
		for h.busy() {
			if req.Timeout > 0 && time.Since(started) >= time.Duration(req.Timeout)*time.Second {
				return nil, new(types.Timedout)
			}
			if !h.vc.pause(task, 50*time.Millisecond) {
				return nil, new(types.RequestCanceled)
			}
		}
		h.setMaintenance(true)
		return nil, nil
	}
	return &methods.EnterMaintenanceMode_TaskBody{Res: &types.EnterMaintenanceMode_TaskResponse{
		Returnval: h.vc.runTask(ctx, h, "EnterMaintenanceMode_Task", "HostSystem.enterMaintenanceMode", run)}}
}

// ExitMaintenanceModeTask tells who watches.
func (h *hostSystem) ExitMaintenanceModeTask(ctx *simulator.Context, _ *types.ExitMaintenanceMode_Task) soap.HasFault {
	run := func(*simulator.Context, *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		h.setMaintenance(false)
		return nil, nil
	}
	return &methods.ExitMaintenanceMode_TaskBody{Res: &types.ExitMaintenanceMode_TaskResponse{
		Returnval: h.vc.runTask(ctx, h, "ExitMaintenanceMode_Task", "HostSystem.exitMaintenanceMode", run)}}
}

// DisconnectHostTask also disconnects its VMs.
func (h *hostSystem) DisconnectHostTask(ctx *simulator.Context, _ *types.DisconnectHost_Task) soap.HasFault {
	run := func(*simulator.Context, *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		h.vc.setHostState(h.HostSystem, types.HostSystemConnectionStateDisconnected)
		return nil, nil
	}
	return &methods.DisconnectHost_TaskBody{Res: &types.DisconnectHost_TaskResponse{
		Returnval: h.vc.runTask(ctx, h, "DisconnectHost_Task", "HostSystem.disconnect", run)}}
}

// ReconnectHostTask also shows what its VMs have become.
func (h *hostSystem) ReconnectHostTask(ctx *simulator.Context, _ *types.ReconnectHost_Task) soap.HasFault {
	run := func(*simulator.Context, *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		h.vc.setHostState(h.HostSystem, types.HostSystemConnectionStateConnected)
		return nil, nil
	}
	return &methods.ReconnectHost_TaskBody{Res: &types.ReconnectHost_TaskResponse{
		Returnval: h.vc.runTask(ctx, h, "ReconnectHost_Task", "HostSystem.reconnect", run)}}
}

func (h *hostSystem) busy() bool {
	for _, vm := range h.vc.vmsOn(h.HostSystem) {
		running := false
		h.vc.newContext().WithLock(vm, func() {
			running = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		})
		if running {
			return true
		}
	}
	return false
}

func (h *hostSystem) setMaintenance(on bool) {
	h.vc.newContext().AutoUpdate(h.HostSystem, func() { h.Runtime.InMaintenanceMode = on })
}

// RenameDatastore changes the name in all paths, too. The simulator does not know it.
func (ds *datastore) RenameDatastore(ctx *simulator.Context, req *types.RenameDatastore) soap.HasFault {
	body := new(methods.RenameDatastoreBody)
	if fault := ds.rename(ctx, req.NewName); fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	body.Res = new(types.RenameDatastoreResponse)
	return body
}

// RenameTask is what every managed entity has.
func (ds *datastore) RenameTask(ctx *simulator.Context, req *types.Rename_Task) soap.HasFault {
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, ds.rename(ctx, req.NewName)
	}
	return &methods.Rename_TaskBody{Res: &types.Rename_TaskResponse{
		Returnval: ds.vc.runTask(ctx, ds, "Rename_Task", "ManagedEntity.rename", run)}}
}

func (ds *datastore) rename(ctx *simulator.Context, name string) types.BaseMethodFault {
	if name == "" || len(name) > longestName {
		return &types.InvalidName{Name: name}
	}
	if taken, ok := ds.vc.byName("Datastore")[name]; ok && taken.Reference() != ds.Self {
		return &types.DuplicateName{Name: name, Object: taken.Reference()}
	}
	before, after := "["+ds.Name+"]", "["+name+"]"
	ctx.AutoUpdate(ds.Datastore, func() {
		ds.Name = name
		ds.Summary.Name = name
		ds.Info.GetDatastoreInfo().Name = name
	})
	for _, entity := range ds.vc.registry().All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		ctx.AutoUpdate(vm, func() {
			ds.vc.rewrite(vm, func(text string) string {
				if rest, ok := strings.CutPrefix(text, before); ok {
					return after + rest
				}
				return text
			})
		})
	}
	return nil
}
