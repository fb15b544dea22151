package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type datacenter struct {
	*simulator.Datacenter
	vc *vCenter
}

// PowerOnMultiVMTask starts a power-on task for each VM and names them in its result; it does not wait for them.
// The simulator skips what it does not know and breaks on a template.
func (dc *datacenter) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	body := new(methods.PowerOnMultiVM_TaskBody)
	for i := range req.Vm {
		if missing := dc.vc.firstMissing(&req.Vm[i]); missing != nil {
			body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: *missing})
			return body
		}
	}
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return dc.powerOn(ctx, req.Vm), nil
	}
	body.Res = &types.PowerOnMultiVM_TaskResponse{
		Returnval: dc.vc.runTask(ctx, dc, "PowerOnMultiVM_Task", "Datacenter.powerOnVm", run)}
	return body
}

func (dc *datacenter) powerOn(ctx *simulator.Context, refs []types.ManagedObjectReference) *types.ClusterPowerOnVmResult {
	result := new(types.ClusterPowerOnVmResult)
	for _, ref := range refs {
		vm, ok := dc.vc.registry().Get(ref).(*simulator.VirtualMachine)
		if !ok {
			result.NotAttempted = append(result.NotAttempted, types.ClusterNotAttemptedVmInfo{
				Vm: ref, Fault: types.LocalizedMethodFault{Fault: &types.ManagedObjectNotFound{Obj: ref}}})
			continue
		}
		fault := dc.vc.refusal(ref, "PowerOnVM_Task")
		if fault == nil && isTemplate(ctx, vm) {
			fault = new(types.InvalidState)
		}
		if fault != nil {
			result.NotAttempted = append(result.NotAttempted, types.ClusterNotAttemptedVmInfo{
				Vm: ref, Fault: types.LocalizedMethodFault{Fault: fault}})
			continue
		}
		own := &virtualMachine{vm, dc.vc}
		answer := own.PowerOnVMTask(detached(ctx), &types.PowerOnVM_Task{This: ref}).(*methods.PowerOnVM_TaskBody)
		task := answer.Res.Returnval
		result.Attempted = append(result.Attempted, types.ClusterAttemptedVmInfo{Vm: ref, Task: &task})
	}
	return result
}
