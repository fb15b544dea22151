package main

import (
	"fmt"

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

// describePods lists each datastore of a cluster once.
func (vc *vCenter) describePods() {
	ctx := vc.newContext()
	for _, entity := range vc.registry().All("StoragePod") {
		pod := entity.(*simulator.StoragePod)
		ctx.AutoUpdate(pod, func() {
			seen := map[types.ManagedObjectReference]bool{}
			children := pod.ChildEntity
			pod.ChildEntity = nil
			for _, ref := range children {
				if vc.registry().Get(ref) == nil || seen[ref] {
					continue
				}
				seen[ref] = true
				pod.ChildEntity = append(pod.ChildEntity, ref)
			}
		})
	}
	vc.sumUpPods()
}

// sumUpPods keeps the clusters' own numbers those of their datastores, and tells only of a difference.
func (vc *vCenter) sumUpPods() {
	for _, entity := range vc.registry().All("StoragePod") {
		pod := entity.(*simulator.StoragePod)
		var capacity, free int64
		for _, s := range vc.podStorage(pod) {
			capacity, free = capacity+s.capacity, free+s.free
		}
		ctx := vc.newContext()
		ctx.WithLock(pod, func() {
			if pod.Summary.Name == pod.Name && pod.Summary.Capacity == capacity && pod.Summary.FreeSpace == free {
				return
			}
			ctx.Update(pod, []types.PropertyChange{
				{Name: "summary.name", Val: pod.Name},
				{Name: "summary.capacity", Val: capacity},
				{Name: "summary.freeSpace", Val: free}})
		})
	}
}

func (vc *vCenter) podStorage(pod *simulator.StoragePod) []storage {
	var refs []types.ManagedObjectReference
	vc.newContext().WithLock(pod, func() { refs = append(refs, pod.ChildEntity...) })
	var list []storage
	for _, ref := range refs {
		if s, ok := vc.storage(ref); ok {
			list = append(list, s)
		}
	}
	return list
}

// podChange is the body of POST /storage-pods; what is left out stays.
type podChange struct {
	Name       string  `json:"name"`
	Enabled    *bool   `json:"enabled"`    // Storage DRS
	Behavior   *string `json:"behavior"`   // manual or automated
	Moves      *string `json:"moves"`      // "": no moves of others; "first": in the best recommendation; "all": in each
	KeySeconds *int    `json:"keySeconds"` // for how long a new recommendation can be applied
}

func (vc *vCenter) changePod(change podChange) error {
	pod, ok := vc.byName("StoragePod")[change.Name].(*simulator.StoragePod)
	if !ok {
		return fmt.Errorf("no datastore cluster is named %q", change.Name)
	}
	if err := vc.recommendations.configure(pod.Self, change); err != nil {
		return err
	}
	const config = podConfigPath + "podConfig."
	var changes []types.PropertyChange
	if change.Enabled != nil {
		changes = append(changes, types.PropertyChange{Name: config + "enabled", Val: *change.Enabled})
	}
	if change.Behavior != nil {
		changes = append(changes, types.PropertyChange{Name: config + "defaultVmBehavior", Val: *change.Behavior})
	}
	vc.registry().AtomicUpdate(vc.newContext(), pod, changes)
	return nil
}
