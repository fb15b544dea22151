package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// refusedCall says why a call is not carried out, whoever would answer it.
func (vc *vCenter) refusedCall(object mo.Reference, method *simulator.Method) types.BaseMethodFault {
	about := []types.ManagedObjectReference{object.Reference()}
	if move, ok := method.Body.(*types.MoveIntoFolder_Task); ok {
		about = append(about, move.List...)
	}
	for _, ref := range about {
		if fault := vc.refusal(ref, method.Name); fault != nil {
			return fault
		}
	}
	return nil
}

// refusal says why nothing can be done with an object now.
func (vc *vCenter) refusal(ref types.ManagedObjectReference, method string) types.BaseMethodFault {
	if !changes(method) {
		return nil
	}
	if task, found := vc.incomplete.maker(vc, ref); found {
		return &types.TaskInProgress{Task: task}
	}
	if entity, ok := vc.registry().Get(ref).(mo.Entity); ok {
		disabled := false
		vc.newContext().WithLock(entity, func() { disabled = slices.Contains(entity.Entity().DisabledMethod, method) })
		if disabled {
			return new(types.MethodDisabled)
		}
	}
	if vm, ok := vc.registry().Get(ref).(*simulator.VirtualMachine); ok {
		return vc.unusable(vm, method)
	}
	return nil
}

// changers are methods that change a VM, or what it is, and are no tasks.
var changers = []string{"MarkAsTemplate", "MarkAsVirtualMachine", "UnregisterVM", "ShutdownGuest", "RebootGuest",
	"StandbyGuest", "SetScreenResolution", "MountToolsInstaller", "UnmountToolsInstaller"}

func changes(method string) bool {
	return strings.HasSuffix(method, "_Task") || slices.Contains(changers, method)
}

// inside runs a task of the simulator inside of ours, which takes its time, may be refused, and is named as on a
// vCenter.
func (vm *virtualMachine) inside(
	ctx *simulator.Context, method, id string, start func(*simulator.Context) soap.HasFault, afterwards ...func(),
) types.ManagedObjectReference {
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if vm.vc.registry().Get(vm.Self) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		own := detached(ctx)
		var answer soap.HasFault
		own.WithLock(vm.VirtualMachine, func() { answer = start(own) })
		result, fault := vm.vc.outcome(answer)
		vm.vc.sweepLog(vm.Self)
		for _, then := range afterwards {
			if fault == nil {
				then()
			}
		}
		return result, fault
	}
	return vm.vc.runTask(ctx, vm, method, id, run)
}

// outcome waits for a task that the simulator has answered with.
func (vc *vCenter) outcome(answer soap.HasFault) (types.AnyType, types.BaseMethodFault) {
	if fault := answer.Fault(); fault != nil {
		if reason, ok := fault.VimFault().(types.BaseMethodFault); ok {
			return nil, reason
		}
		return nil, &types.SystemError{Reason: fault.String}
	}
	task := reflect.ValueOf(answer).Elem().FieldByName("Res").Elem().FieldByName("Returnval")
	return vc.await(task.Interface().(types.ManagedObjectReference))
}

func isTemplate(ctx *simulator.Context, vm *simulator.VirtualMachine) (template bool) {
	ctx.WithLock(vm, func() { template = vm.Config.Template })
	return template
}

// PowerOnVMTask takes its time.
func (vm *virtualMachine) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	body := new(methods.PowerOnVM_TaskBody)
	if isTemplate(ctx, vm.VirtualMachine) {
		body.Fault_ = simulator.Fault("", new(types.InvalidState))
		return body
	}
	ref := vm.inside(ctx, "PowerOnVM_Task", "VirtualMachine.powerOn", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.PowerOnVMTask(own, req)
	})
	body.Res = &types.PowerOnVM_TaskResponse{Returnval: ref}
	return body
}

// PowerOffVMTask takes its time.
func (vm *virtualMachine) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	ref := vm.inside(ctx, "PowerOffVM_Task", "VirtualMachine.powerOff", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.PowerOffVMTask(own, req)
	}, func() { vm.vc.dropQuestion(vm.VirtualMachine) })
	return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: ref}}
}

// SuspendVMTask takes its time.
func (vm *virtualMachine) SuspendVMTask(ctx *simulator.Context, req *types.SuspendVM_Task) soap.HasFault {
	ref := vm.inside(ctx, "SuspendVM_Task", "VirtualMachine.suspend", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.SuspendVMTask(own, req)
	})
	return &methods.SuspendVM_TaskBody{Res: &types.SuspendVM_TaskResponse{Returnval: ref}}
}

// ResetVMTask takes its time.
func (vm *virtualMachine) ResetVMTask(ctx *simulator.Context, req *types.ResetVM_Task) soap.HasFault {
	ref := vm.inside(ctx, "ResetVM_Task", "VirtualMachine.reset", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.ResetVMTask(own, req)
	})
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: ref}}
}
