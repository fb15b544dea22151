package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const creators = 32

// createWorkloads makes the VMs of the VPX model, powered on: DC0_C0_RP0_VM0 … in the cluster's pool and
// DC0_H0_VM0 … on the standalone host. The model itself takes 40 ms for each, one after the other.
func (vc *vCenter) createWorkloads(ctx context.Context) error {
	folders, err := vc.folders(ctx)
	if err != nil {
		return err
	}
	vmFolder := vc.registry().Get(folders.VmFolder.Reference()).(*simulator.Folder)
	backing, err := vc.workloadNetwork(ctx)
	if err != nil {
		return err
	}
	type job struct {
		name string
		pool types.ManagedObjectReference
	}
	jobs := make(chan job)
	problems := make(chan error, creators)
	var workers sync.WaitGroup
	for range creators {
		workers.Go(func() {
			for j := range jobs {
				if err := vc.createWorkload(vmFolder, j.name, j.pool, backing); err != nil {
					select {
					case problems <- fmt.Errorf("%s: %w", j.name, err):
					default:
					}
				}
			}
		})
	}
	for _, entity := range vc.registry().All("ResourcePool") {
		pool := entity.(*simulator.ResourcePool)
		prefix := "DC0_H0"
		if pool.Owner.Type == "ClusterComputeResource" {
			prefix = vc.registry().Get(pool.Owner).(mo.Entity).Entity().Name + "_RP0"
		}
		for i := range vc.opts.vms {
			jobs <- job{fmt.Sprintf("%s_VM%d", prefix, i), pool.Self}
		}
	}
	close(jobs)
	workers.Wait()
	close(problems)
	return <-problems
}

func (vc *vCenter) workloadNetwork(ctx context.Context) (types.BaseVirtualDeviceBackingInfo, error) {
	group := vc.byName("DistributedVirtualPortgroup")["DC0_DVPG0"]
	return object.NewDistributedVirtualPortgroup(vc.client, group.Reference()).EthernetCardBackingInfo(ctx)
}

func (vc *vCenter) createWorkload(
	folder *simulator.Folder, name string, pool types.ManagedObjectReference, backing types.BaseVirtualDeviceBackingInfo,
) error {
	spec := template{name: name, guestID: "otherGuest", diskGB: 10, cdrom: true}.spec()
	for _, change := range spec.DeviceChange {
		if nic, ok := change.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard); ok {
			nic.GetVirtualEthernetCard().Backing = backing
		}
	}
	spec.Annotation = ""
	created := folder.CreateVMTask(vc.newContext(), &types.CreateVM_Task{This: folder.Self, Config: spec, Pool: pool})
	result, fault := vc.await(created.(*methods.CreateVM_TaskBody).Res.Returnval)
	if fault != nil {
		return fmt.Errorf("%T", fault)
	}
	ref := result.(types.ManagedObjectReference)
	vm := vc.registry().Get(ref).(*simulator.VirtualMachine)
	vc.assignAddresses(vc.newContext(), vm)
	if vc.opts.payload {
		vc.addPayload(vm)
	}
	started := vm.PowerOnVMTask(vc.newContext(), &types.PowerOnVM_Task{This: ref})
	if _, fault := vc.await(started.(*methods.PowerOnVM_TaskBody).Res.Returnval); fault != nil {
		return fmt.Errorf("%T", fault)
	}
	return nil
}
