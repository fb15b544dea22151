package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// RelocateVMTask moves a VM to another host, pool, datastore or folder. The simulator leaves it in the old ones' lists,
// and its files where they are.
func (vm *virtualMachine) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	body := new(methods.RelocateVM_TaskBody)
	spec := &req.Spec
	if missing := vm.vc.firstMissing(spec.Host, spec.Pool, spec.Datastore, spec.Folder); missing != nil {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: *missing})
		return body
	}
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, vm.vc.relocate(ctx, vm.VirtualMachine, spec)
	}
	body.Res = &types.RelocateVM_TaskResponse{
		Returnval: vm.vc.runTask(ctx, vm, "RelocateVM_Task", "VirtualMachine.relocate", run)}
	return body
}

// MigrateVMTask moves a VM to another host or pool. The simulator does not know the method.
func (vm *virtualMachine) MigrateVMTask(ctx *simulator.Context, req *types.MigrateVM_Task) soap.HasFault {
	body := new(methods.MigrateVM_TaskBody)
	if missing := vm.vc.firstMissing(req.Host, req.Pool); missing != nil {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: *missing})
		return body
	}
	run := func(ctx *simulator.Context, _ *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		var state types.VirtualMachinePowerState
		ctx.WithLock(vm.VirtualMachine, func() { state = vm.Runtime.PowerState })
		if req.State != "" && req.State != state {
			return nil, &types.InvalidPowerState{RequestedState: req.State, ExistingState: state}
		}
		spec := &types.VirtualMachineRelocateSpec{Host: req.Host, Pool: req.Pool}
		return nil, vm.vc.relocate(ctx, vm.VirtualMachine, spec)
	}
	body.Res = &types.MigrateVM_TaskResponse{
		Returnval: vm.vc.runTask(ctx, vm, "MigrateVM_Task", "VirtualMachine.migrate", run)}
	return body
}

func (vc *vCenter) relocate(
	ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineRelocateSpec,
) types.BaseMethodFault {
	host := spec.Host
	if host == nil && spec.Pool != nil {
		if current, ok := vc.hostOfVM(vm); !ok || *current.Parent != vc.ownerOf(*spec.Pool) {
			if host = vc.hostOf(*spec.Pool, spec.Datastore); host == nil {
				return &types.NoActiveHostInCluster{ComputeResource: vc.ownerOf(*spec.Pool)}
			}
		}
	}
	if target, ok := vc.host(host); ok {
		if fault := vc.unreachable(target); fault != nil {
			return fault
		}
	}
	if spec.Datastore != nil {
		if fault := vc.moveDisks(ctx, vm, *spec.Datastore); fault != nil {
			return fault
		}
	}
	if host != nil {
		vc.changeHost(vm, *host)
	}
	if spec.Pool != nil {
		vc.listVM(vc.newContext(), vm, false)
		vc.registry().AtomicUpdate(ctx, vm, []types.PropertyChange{{Name: "resourcePool", Val: spec.Pool}})
		vc.listVM(vc.newContext(), vm, true)
	}
	if folder, ok := vc.folderOf(spec.Folder); ok {
		own := detached(ctx)
		_, fault := vc.outcome(folder.MoveIntoFolderTask(own, &types.MoveIntoFolder_Task{
			This: folder.Self, List: []types.ManagedObjectReference{vm.Self}}))
		return fault
	}
	return nil
}

func (vc *vCenter) folderOf(ref *types.ManagedObjectReference) (*simulator.Folder, bool) {
	if ref == nil {
		return nil, false
	}
	folder, ok := vc.registry().Get(*ref).(*simulator.Folder)
	return folder, ok
}

// moveDisks takes a VM's own files and all of its disks to another datastore. An ISO image in its CD drive, and what
// others have put into its directory, stay where they are.
func (vc *vCenter) moveDisks(
	ctx *simulator.Context, vm *simulator.VirtualMachine, to types.ManagedObjectReference,
) types.BaseMethodFault {
	target, ok := vc.registry().Get(to).(*simulator.Datastore)
	if !ok {
		return &types.InvalidArgument{InvalidProperty: "spec.datastore"}
	}
	state, _ := vc.storage(to)
	if fault := state.usable(); fault != nil {
		return fault
	}
	var vmx object.DatastorePath
	var needed int64
	var disks []string
	ctx.WithLock(vm, func() {
		vmx.FromString(vm.Config.Files.VmPathName)
		for _, device := range vm.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				needed += disk.CapacityInBytes
			}
		}
		disks = chains(vm.Config.Hardware.Device)
	})
	if vmx.Datastore == target.Name {
		return nil
	}
	if needed > state.free {
		return &types.NoDiskSpace{FileFault: types.FileFault{File: "[" + target.Name + "]"}, Datastore: target.Name}
	}
	vc.aside.Lock()
	defer vc.aside.Unlock()
	log := object.DatastorePath{Datastore: vmx.Datastore, Path: path.Join(path.Dir(vmx.Path), "vmware.log")}
	if file, ok := vc.file(log); ok {
		vc.oldLogs.LoadOrStore(vm.Self, file)
	}
	moved := vc.moveFiles(vm, vmx, target, disks)
	vc.listVM(vc.newContext(), vm, false)
	ctx.AutoUpdate(vm, func() {
		vm.Datastore = []types.ManagedObjectReference{to}
		vc.rewrite(vm, func(name string) string {
			if now, ok := moved[name]; ok {
				return now
			}
			return name
		})
	})
	vc.listVM(vc.newContext(), vm, true)
	vc.book(ctx, vmx.Datastore, needed)
	vc.book(ctx, target.Name, -needed)
	return nil
}

// sweepLog removes the log that the simulator goes on to write where a VM was made.
func (vc *vCenter) sweepLog(ref types.ManagedObjectReference) {
	if file, ok := vc.oldLogs.Load(ref); ok {
		_ = os.Remove(file.(string))
	}
}

// moveFiles moves files into a directory of the VM's name, or name_1 where that is taken, and says where each path is
// now: files and the directories that a configuration names.
func (vc *vCenter) moveFiles(
	vm *simulator.VirtualMachine, vmx object.DatastorePath, target *simulator.Datastore, disks []string,
) map[string]string {
	from := object.DatastorePath{Datastore: vmx.Datastore, Path: path.Dir(vmx.Path)}
	source, _ := vc.file(from)
	to := object.DatastorePath{Datastore: target.Name, Path: path.Base(from.Path)}
	directory, _ := vc.file(to)
	for i := 1; os.Mkdir(directory, 0o700) != nil && i < 1000; i++ {
		to.Path = fmt.Sprintf("%s_%d", path.Base(from.Path), i)
		directory, _ = vc.file(to)
	}
	moved := map[string]string{
		from.String(): to.String(), from.String() + "/": to.String() + "/",
		"[" + from.Datastore + "] " + from.Path: to.String(),
	}
	take := func(old, now object.DatastorePath) {
		before, _ := vc.file(old)
		after, _ := vc.file(now)
		_ = os.Rename(before, after)
		moved[old.String()] = now.String()
	}
	entries, _ := os.ReadDir(source)
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains(ownFiles, strings.ToLower(filepath.Ext(entry.Name()))) {
			take(object.DatastorePath{Datastore: from.Datastore, Path: path.Join(from.Path, entry.Name())},
				object.DatastorePath{Datastore: to.Datastore, Path: path.Join(to.Path, entry.Name())})
		}
	}
	for i, disk := range disks {
		var old object.DatastorePath
		old.FromString(disk)
		name := path.Base(old.Path)
		if old.Datastore != from.Datastore || path.Dir(old.Path) != from.Path {
			name = fmt.Sprintf("%s_%d.vmdk", vm.Name, i+1) // as a disk that comes from elsewhere is called
		}
		now := object.DatastorePath{Datastore: to.Datastore, Path: path.Join(to.Path, name)}
		take(old, now)
		take(flat(old), flat(now))
	}
	_ = os.Remove(source) // when it is empty
	return moved
}

func flat(disk object.DatastorePath) object.DatastorePath {
	disk.Path = strings.TrimSuffix(disk.Path, ".vmdk") + "-flat.vmdk"
	return disk
}

// book gives space to a datastore, or takes it.
func (vc *vCenter) book(ctx *simulator.Context, name string, bytes int64) {
	if datastore, ok := vc.byName("Datastore")[name].(*simulator.Datastore); ok {
		ctx.AutoUpdate(datastore, func() {
			datastore.Summary.FreeSpace += bytes
			datastore.Info.GetDatastoreInfo().FreeSpace = datastore.Summary.FreeSpace
		})
	}
}

// rewrite changes the paths in a VM's configuration. Devices are replaced by copies, as others may have the old ones
// in their hands. The VM must be locked.
func (vc *vCenter) rewrite(vm *simulator.VirtualMachine, change func(string) string) {
	files := &vm.Config.Files
	for _, name := range []*string{&files.VmPathName, &files.SnapshotDirectory, &files.SuspendDirectory,
		&files.LogDirectory, &vm.Summary.Config.VmPathName} {
		*name = change(*name)
	}
	devices := slices.Clone(vm.Config.Hardware.Device)
	for i, device := range devices {
		switch d := device.(type) {
		case *types.VirtualDisk:
			if backing, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				replaced := *d
				replaced.Backing = rewritten(backing, change)
				devices[i] = &replaced
			}
		case *types.VirtualCdrom:
			if backing, ok := d.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
				replaced, image := *d, *backing
				image.FileName = change(image.FileName)
				replaced.Backing = &image
				devices[i] = &replaced
			}
		}
	}
	vm.Config.Hardware.Device = devices
	for i := range vm.LayoutEx.File {
		vm.LayoutEx.File[i].Name = change(vm.LayoutEx.File[i].Name)
	}
}

func rewritten(
	backing *types.VirtualDiskFlatVer2BackingInfo, change func(string) string,
) *types.VirtualDiskFlatVer2BackingInfo {
	if backing == nil {
		return nil
	}
	replaced := *backing
	replaced.FileName = change(backing.FileName)
	replaced.Parent = rewritten(backing.Parent, change)
	return &replaced
}
