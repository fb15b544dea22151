package main

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type snapshotOf struct {
	*simulator.VirtualMachineSnapshot
	vc *vCenter
}

func overrideSnapshot(vc *vCenter, object mo.Reference) mo.Reference {
	if s, ok := object.(*simulator.VirtualMachineSnapshot); ok {
		return &snapshotOf{s, vc}
	}
	return nil
}

// CreateSnapshotTask is the old form.
func (vm *virtualMachine) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	ref := vm.snapshot(ctx, "CreateSnapshot_Task", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.CreateSnapshotTask(own, req)
	})
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: ref}}
}

// CreateSnapshotExTask lets the VM go on on new disks, whose parents are those of the snapshot. The simulator leaves
// the VM on its disks.
func (vm *virtualMachine) CreateSnapshotExTask(ctx *simulator.Context, req *types.CreateSnapshotEx_Task) soap.HasFault {
	ref := vm.snapshot(ctx, "CreateSnapshotEx_Task", func(own *simulator.Context) soap.HasFault {
		return vm.VirtualMachine.CreateSnapshotExTask(own, req)
	})
	return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: ref}}
}

func (vm *virtualMachine) snapshot(
	ctx *simulator.Context, method string, start func(*simulator.Context) soap.HasFault,
) types.ManagedObjectReference {
	return vm.inside(ctx, method, "VirtualMachine.createSnapshot", func(own *simulator.Context) soap.HasFault {
		return start(own)
	}, func() { vm.vc.addDeltas(vm.VirtualMachine) })
}

// RemoveAllSnapshotsTask puts the VM back on its own disks.
func (vm *virtualMachine) RemoveAllSnapshotsTask(
	ctx *simulator.Context, req *types.RemoveAllSnapshots_Task,
) soap.HasFault {
	start := func(own *simulator.Context) soap.HasFault { return vm.VirtualMachine.RemoveAllSnapshotsTask(own, req) }
	ref := vm.inside(ctx, "RemoveAllSnapshots_Task", "VirtualMachine.removeAllSnapshots", start,
		func() { vm.vc.mergeDeltas(vm.VirtualMachine) })
	return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: ref}}
}

// RemoveSnapshotTask puts the VM back on its own disks when it was the last one.
func (s *snapshotOf) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	body := new(methods.RemoveSnapshot_TaskBody)
	vm, ok := s.vc.registry().Get(s.Vm).(*simulator.VirtualMachine)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: s.Vm})
		return body
	}
	if fault := s.vc.refusal(s.Vm, "RemoveSnapshot_Task"); fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		result, fault := s.vc.outcome(s.VirtualMachineSnapshot.RemoveSnapshotTask(detached(ctx), req))
		last := false
		ctx.WithLock(vm, func() { last = vm.Snapshot == nil })
		if fault == nil && last {
			s.vc.mergeDeltas(vm)
		}
		return result, fault
	}
	body.Res = &types.RemoveSnapshot_TaskResponse{
		Returnval: s.vc.runTask(ctx, vm, "RemoveSnapshot_Task", "VirtualMachineSnapshot.remove", run)}
	return body
}

func isIndependent(mode string) bool { return strings.HasPrefix(mode, "independent") }

var deltaSuffix = regexp.MustCompile(`(-\d{6})?\.vmdk$`)

// addDeltas puts a disk of differences over each disk that snapshots know.
func (vc *vCenter) addDeltas(vm *simulator.VirtualMachine) {
	vc.exchangeDisks(vm, func(backing *types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo {
		if isIndependent(backing.DiskMode) {
			return backing
		}
		var old, vmx object.DatastorePath
		old.FromString(backing.FileName)
		vmx.FromString(vm.Config.Files.VmPathName)
		stem := deltaSuffix.ReplaceAllString(path.Base(old.Path), "")
		for n := 1; ; n++ {
			delta := object.DatastorePath{
				Datastore: vmx.Datastore, Path: path.Join(path.Dir(vmx.Path), fmt.Sprintf("%s-%06d.vmdk", stem, n))}
			file, ok := vc.file(delta)
			if _, err := os.Stat(file); ok && err == nil {
				continue
			}
			_ = os.WriteFile(file, nil, 0o600)
			above := *backing
			above.FileName, above.Parent = delta.String(), backing
			return &above
		}
	})
}

// mergeDeltas puts each disk of differences into what lies below it.
func (vc *vCenter) mergeDeltas(vm *simulator.VirtualMachine) {
	vc.exchangeDisks(vm, func(backing *types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo {
		for backing.Parent != nil {
			var delta object.DatastorePath
			delta.FromString(backing.FileName)
			if file, ok := vc.file(delta); ok {
				_ = os.Remove(file)
			}
			backing = backing.Parent
		}
		return backing
	})
}

func (vc *vCenter) exchangeDisks(
	vm *simulator.VirtualMachine,
	exchange func(*types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo,
) {
	vc.newContext().AutoUpdate(vm, func() {
		devices := slices.Clone(vm.Config.Hardware.Device)
		for i, device := range devices {
			disk, ok := device.(*types.VirtualDisk)
			if !ok {
				continue
			}
			if backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				replaced := *disk
				replaced.Backing = exchange(backing)
				devices[i] = &replaced
			}
		}
		vm.Config.Hardware.Device = devices
	})
}

// chain names the files of a disk, the newest first.
func chain(device types.BaseVirtualDevice) []string {
	disk, ok := device.(*types.VirtualDisk)
	if !ok {
		return nil
	}
	var names []string
	backing, _ := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	for ; backing != nil; backing = backing.Parent {
		names = append(names, backing.FileName)
	}
	return names
}

func chains(devices []types.BaseVirtualDevice) []string {
	var names []string
	for _, device := range devices {
		names = append(names, chain(device)...)
	}
	return names
}

// snapshotsOf returns a VM's snapshots.
func (vc *vCenter) snapshotsOf(ref types.ManagedObjectReference) []*simulator.VirtualMachineSnapshot {
	var found []*simulator.VirtualMachineSnapshot
	for _, object := range vc.registry().AllReference("VirtualMachineSnapshot") {
		if s, ok := object.(*simulator.VirtualMachineSnapshot); ok && s.Vm == ref {
			found = append(found, s)
		}
	}
	return found
}

// checkSnapshots refuses to detach a disk that a snapshot needs; to delete its newest part is allowed.
func (vc *vCenter) checkSnapshots(
	ctx *simulator.Context, vm *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec,
) types.BaseMethodFault {
	if !removesDisk(changes) {
		return nil
	}
	var held []string
	for _, s := range vc.snapshotsOf(vm.Self) {
		for _, device := range s.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				if ok && !isIndependent(backing.DiskMode) {
					held = append(held, chain(disk)...)
				}
			}
		}
	}
	var devices object.VirtualDeviceList
	ctx.WithLock(vm, func() { devices = vm.Config.Hardware.Device })
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec.Operation != types.VirtualDeviceConfigSpecOperationRemove || spec.FileOperation != "" {
			continue
		}
		current := devices.FindByKey(spec.Device.GetVirtualDevice().Key)
		if slices.ContainsFunc(chain(current), func(name string) bool { return slices.Contains(held, name) }) {
			fault := &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
			fault.Property = "virtualDeviceSpec.device"
			return fault
		}
	}
	return nil
}

// dropSnapshots lets a VM that is destroyed take the whole chain of each disk with it.
func (vc *vCenter) dropSnapshots(vm *simulator.VirtualMachine) {
	vc.mergeDeltas(vm)
	for _, s := range vc.snapshotsOf(vm.Self) {
		vc.registry().Remove(vc.newContext(), s.Self)
	}
}
