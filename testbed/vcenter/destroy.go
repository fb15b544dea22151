package main

import (
	"log"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// DestroyTask removes the VM with its disks and its own files. Files that others put into its directory, such as an
// uploaded ISO image, stay; the simulator removes the whole directory.
func (vm *virtualMachine) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, vm.vc.destroyVM(ctx, vm.VirtualMachine)
	}
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{
		Returnval: vm.vc.runTask(ctx, vm, "Destroy_Task", "VirtualMachine.destroy", run)}}
}

func (vc *vCenter) destroyVM(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	if vc.registry().Get(vm.Self) == nil {
		return &types.ManagedObjectNotFound{Obj: vm.Self}
	}
	if fault := vc.refusal(vm.Self, "Destroy_Task"); fault != nil {
		return fault
	}
	return vc.removeVM(ctx, vm)
}

// removeVM takes a VM away that is powered off.
func (vc *vCenter) removeVM(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	var on bool
	var vmx object.DatastorePath
	var disks []string
	ctx.WithLock(vm, func() {
		on = vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff
		vmx.FromString(vm.Config.Files.VmPathName)
	})
	if on {
		return &types.InvalidPowerState{
			ExistingState:  types.VirtualMachinePowerStatePoweredOn,
			RequestedState: types.VirtualMachinePowerStatePoweredOff}
	}
	vc.dropSnapshots(vm)
	vc.aside.Lock()
	defer vc.aside.Unlock()
	vmx.Path = path.Dir(vmx.Path)
	directory, found := vc.file(vmx)
	putBack := func() {}
	ctx.WithLock(vm, func() {
		disks = diskFiles(vm.Config.Hardware.Device)
		vm.Config.Files.LogDirectory = vmx.String() // what the simulator removes
	})
	if found {
		putBack = putAside(directory, disks)
	}
	own := detached(ctx)
	_, fault := vc.await(vm.DestroyTask(own, &types.Destroy_Task{This: vm.Self}).(*methods.Destroy_TaskBody).Res.Returnval)
	if found && fault == nil {
		awaitRemoval(directory)
	}
	putBack()
	if fault == nil {
		vc.forgetInPods(vm.Self)
	}
	return fault
}

// awaitRemoval waits until a directory is gone. The simulator removes a VM's in a task of its own, which it does not
// wait for: what is put back too early would go, too.
func awaitRemoval(directory string) {
	for end := time.Now().Add(removalLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(directory); os.IsNotExist(err) {
			return
		}
	}
	log.Printf("%s is still there", directory)
}

const removalLimit = 30 * time.Second

// ownFiles are the kinds of files that vCenter removes with a VM. Disks go with their devices: one that was detached
// before stays.
var ownFiles = []string{".vmx", ".nvram", ".log", ".vmsd", ".vmxf", ".vswp", ".vmss", ".vmsn", ".vmem"}

// diskFiles names the files of the disks that are attached.
func diskFiles(devices []types.BaseVirtualDevice) []string {
	var names []string
	for _, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		if backing, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
			name := path.Base(backing.GetVirtualDeviceFileBackingInfo().FileName)
			names = append(names, name, strings.TrimSuffix(name, ".vmdk")+"-flat.vmdk")
		}
	}
	return names
}

// putAside moves what is not the VM's own out of its directory, and returns how to undo that.
func putAside(directory string, disks []string) func() {
	foreign := []string{}
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		own := slices.Contains(ownFiles, strings.ToLower(filepath.Ext(entry.Name()))) ||
			slices.Contains(disks, entry.Name())
		if entry.IsDir() || !own {
			foreign = append(foreign, entry.Name())
		}
	}
	if len(foreign) == 0 {
		return func() {}
	}
	aside, err := os.MkdirTemp("", "aside-")
	if err != nil {
		return func() {}
	}
	for _, name := range foreign {
		_ = os.Rename(filepath.Join(directory, name), filepath.Join(aside, name))
	}
	return func() {
		_ = os.MkdirAll(directory, 0o700)
		for _, name := range foreign {
			_ = os.Rename(filepath.Join(aside, name), filepath.Join(directory, name))
		}
		_ = os.RemoveAll(aside)
	}
}

type folder struct {
	*simulator.Folder
	vc *vCenter
}

// DestroyTask removes a folder and everything in it, one after the other, and stops at the first that cannot be
// removed. The simulator leaves the VMs behind, without a parent.
func (f *folder) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	if !slices.Contains(f.ChildType, "VirtualMachine") {
		return f.Folder.DestroyTask(ctx, req)
	}
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, f.vc.destroyFolder(ctx, f.Folder)
	}
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{
		Returnval: f.vc.runTask(ctx, f, "Destroy_Task", "Folder.destroy", run)}}
}

func (vc *vCenter) destroyFolder(ctx *simulator.Context, f *simulator.Folder) types.BaseMethodFault {
	var children []types.ManagedObjectReference
	ctx.WithLock(f, func() { children = slices.Clone(f.ChildEntity) })
	if vc.registry().Get(f.Self) == nil {
		return &types.ManagedObjectNotFound{Obj: f.Self}
	}
	for _, ref := range children {
		var fault types.BaseMethodFault
		switch child := vc.registry().Get(ref).(type) {
		case *simulator.VirtualMachine:
			fault = vc.destroyVM(ctx, child)
		case *simulator.Folder:
			fault = vc.destroyFolder(ctx, child)
		}
		if fault != nil {
			return fault
		}
	}
	own := detached(ctx)
	_, fault := vc.await(f.DestroyTask(own, &types.Destroy_Task{This: f.Self}).(*methods.Destroy_TaskBody).Res.Returnval)
	return fault
}

type datastore struct {
	*simulator.Datastore
	vc *vCenter
}

// RefreshDatastore changes nothing; the simulator would set the free space back to the capacity.
func (*datastore) RefreshDatastore(*simulator.Context, *types.RefreshDatastore) soap.HasFault {
	return &methods.RefreshDatastoreBody{Res: new(types.RefreshDatastoreResponse)}
}
