package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type storagePod struct {
	*simulator.StoragePod
	vc *vCenter
}

func overridePod(vc *vCenter, object mo.Reference) mo.Reference {
	if pod, ok := object.(*simulator.StoragePod); ok {
		return &storagePod{pod, vc}
	}
	return nil
}

// MoveIntoFolderTask moves datastores into the cluster; the simulator lists those that were there before twice.
func (p *storagePod) MoveIntoFolderTask(ctx *simulator.Context, req *types.MoveIntoFolder_Task) soap.HasFault {
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		answer := p.StoragePod.MoveIntoFolderTask(detached(ctx), req)
		_, fault := p.vc.await(answer.(*methods.MoveIntoFolder_TaskBody).Res.Returnval)
		p.vc.describePods()
		return nil, fault
	}
	return &methods.MoveIntoFolder_TaskBody{Res: &types.MoveIntoFolder_TaskResponse{
		Returnval: p.vc.runTask(ctx, p, "MoveIntoFolder_Task", "Folder.moveInto", run)}}
}

// describePods lists each datastore once, and sums up what a cluster's datastores hold.
func (vc *vCenter) describePods() {
	ctx := vc.newContext()
	for name, entity := range vc.byName("StoragePod") {
		pod := entity.(*simulator.StoragePod)
		ctx.AutoUpdate(pod, func() {
			pod.Summary.Name = name
			pod.Summary.Capacity, pod.Summary.FreeSpace = 0, 0
			seen := map[types.ManagedObjectReference]bool{}
			children := pod.ChildEntity
			pod.ChildEntity = nil
			for _, ref := range children {
				datastore, ok := vc.registry().Get(ref).(*simulator.Datastore)
				if !ok || seen[ref] {
					continue
				}
				seen[ref] = true
				pod.ChildEntity = append(pod.ChildEntity, ref)
				pod.Summary.Capacity += datastore.Summary.Capacity
				pod.Summary.FreeSpace += datastore.Summary.FreeSpace
			}
		})
	}
}
