package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ApplyStorageDrsRecommendationTask makes the VM that was asked for where it was recommended. Every key is good for
// once and for a limited time.
func (m *storageDRS) ApplyStorageDrsRecommendationTask(
	ctx *simulator.Context, req *types.ApplyStorageDrsRecommendation_Task,
) soap.HasFault {
	body := new(methods.ApplyStorageDrsRecommendation_TaskBody)
	var list []*recommendation
	for _, key := range req.Key {
		if one := m.vc.recommendations.take(key); one != nil {
			list = append(list, one)
		}
	}
	if len(list) == 0 || len(list) < len(req.Key) {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "key"})
		return body
	}
	about, ok := m.vc.registry().Get(list[0].pod).(mo.Entity)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: list[0].pod})
		return body
	}
	run := func(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		var result types.ApplyStorageRecommendationResult
		for _, one := range list {
			vm, fault := m.vc.apply(ctx, task, one)
			m.vc.recommendations.release(one.lease) // also when it failed
			if fault != nil {
				return nil, fault
			}
			m.vc.keepInitialConfig(one, vm)
			result.Vm = &vm
		}
		return result, nil
	}
	body.Res = &types.ApplyStorageDrsRecommendation_TaskResponse{Returnval: m.vc.runTask(
		ctx, about, "ApplyStorageDrsRecommendation_Task", "StorageResourceManager.applyRecommendation", run)}
	return body
}

// applyNeeds are those of applying, on the datastore cluster, and those of the clone inside.
func (vc *vCenter) applyNeeds(keys []string) []need {
	var needs []need
	for _, key := range keys {
		one := vc.recommendations.peek(key)
		if one == nil {
			continue
		}
		needs = append(needs, need{one.pod, "Resource.ApplyRecommendation"})
		if one.spec.CloneSpec != nil {
			needs = append(needs, vc.cloneNeeds(one.cloneRequest())...)
		}
	}
	return needs
}

// cloneRequest is what somebody without Storage DRS would have asked for, with the datastore filled in.
func (r *recommendation) cloneRequest() *types.CloneVM_Task {
	clone := *r.spec.CloneSpec
	clone.Location.Datastore = &r.target
	if clone.Location.Pool == nil {
		clone.Location.Pool = r.spec.ResourcePool
	}
	if clone.Location.Host == nil {
		clone.Location.Host = r.spec.Host
	}
	return &types.CloneVM_Task{This: *r.spec.Vm, Folder: *r.spec.Folder, Name: r.spec.CloneName, Spec: clone}
}

// CancelStorageDrsRecommendation frees what is held for recommendations; it does not mind unknown keys.
func (m *storageDRS) CancelStorageDrsRecommendation(
	_ *simulator.Context, req *types.CancelStorageDrsRecommendation,
) soap.HasFault {
	for _, key := range req.Key {
		if one := m.vc.recommendations.take(key); one != nil {
			m.vc.recommendations.release(one.lease)
		}
	}
	return &methods.CancelStorageDrsRecommendationBody{Res: new(types.CancelStorageDrsRecommendationResponse)}
}

func (vc *vCenter) apply(
	ctx *simulator.Context, task *simulator.Task, one *recommendation,
) (types.ManagedObjectReference, types.BaseMethodFault) {
	var none types.ManagedObjectReference
	s, ok := vc.storage(one.target)
	if !ok {
		return none, &types.ManagedObjectNotFound{Obj: one.target}
	}
	if fault := s.usable(); fault != nil {
		return none, fault
	}
	if s.free-vc.recommendations.held(s.ref, one.lease) < vc.neededSpace(&one.spec) {
		return none, new(types.InsufficientStorageSpace)
	}
	for _, move := range one.moves {
		vc.moveStorage(move)
	}
	ref, fault := vc.startPlaced(ctx, one, s)
	if fault != nil {
		return none, fault
	}
	vc.recommendations.release(one.lease) // its VM takes the space itself now
	inner := vc.registry().Get(ref).(*simulator.Task)
	vc.registry().AtomicUpdate(vc.newContext(), inner, []types.PropertyChange{
		{Name: "info.parentTaskKey", Val: task.Info.Key}, {Name: "info.rootTaskKey", Val: task.Info.Key}})
	inner.Wait()
	var result types.AnyType
	vc.newContext().WithLock(inner, func() {
		result = inner.Info.Result
		if inner.Info.Error != nil {
			fault = inner.Info.Error.Fault
		}
	})
	if fault != nil {
		return none, fault
	}
	return result.(types.ManagedObjectReference), nil
}

// startPlaced starts the task that somebody without Storage DRS would have started, with the datastore filled in.
func (vc *vCenter) startPlaced(
	ctx *simulator.Context, one *recommendation, s storage,
) (types.ManagedObjectReference, types.BaseMethodFault) {
	if one.spec.Type == string(types.StoragePlacementSpecPlacementTypeCreate) {
		return vc.startCreate(ctx, one, s)
	}
	var none types.ManagedObjectReference
	source, ok := vc.source(&one.spec)
	if !ok {
		return none, &types.ManagedObjectNotFound{Obj: *one.spec.Vm}
	}
	body := (&virtualMachine{source, vc}).CloneVMTask(ctx, one.cloneRequest()).(*methods.CloneVM_TaskBody)
	if body.Fault_ != nil {
		return none, faultOf(body.Fault_)
	}
	return body.Res.Returnval, nil
}

func (vc *vCenter) startCreate(
	ctx *simulator.Context, one *recommendation, s storage,
) (types.ManagedObjectReference, types.BaseMethodFault) {
	var none types.ManagedObjectReference
	parent, ok := vc.registry().Get(*one.spec.Folder).(*simulator.Folder)
	if !ok {
		return none, &types.InvalidArgument{InvalidProperty: "folder"}
	}
	config := *one.spec.ConfigSpec
	config.Files = &types.VirtualMachineFileInfo{VmPathName: "[" + s.name + "]"}
	body := (&folder{parent, vc}).CreateVMTask(ctx, &types.CreateVM_Task{
		This: parent.Self, Config: config, Pool: *one.spec.ResourcePool, Host: one.spec.Host,
	}).(*methods.CreateVM_TaskBody)
	if body.Fault_ != nil {
		return none, faultOf(body.Fault_)
	}
	return body.Res.Returnval, nil
}

// faultOf unwraps a fault that a method answered instead of starting a task.
func faultOf(fault *soap.Fault) types.BaseMethodFault {
	if inner, ok := fault.VimFault().(types.BaseMethodFault); ok {
		return inner
	}
	return new(types.SystemError)
}

// moveStorage lets a VM say that it is on another datastore; its files stay where they are.
func (vc *vCenter) moveStorage(move *types.StorageMigrationAction) {
	vm, ok := vc.registry().Get(move.Vm).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	vc.registry().AtomicUpdate(vc.newContext(), vm, []types.PropertyChange{
		{Name: "datastore", Val: []types.ManagedObjectReference{move.Destination}}})
}
