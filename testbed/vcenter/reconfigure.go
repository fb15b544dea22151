package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func changeVersion() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000Z") }

// ReconfigVMTask adds the checks of a vCenter to the simulator's reconfiguration.
func (vm *virtualMachine) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	run := func(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if removesDisk(req.Spec.DeviceChange) && !vm.vc.takeTime(task, "detach") {
			return nil, new(types.RequestCanceled)
		}
		if vm.vc.registry().Get(vm.Self) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		return nil, vm.vc.reconfigure(ctx, vm.VirtualMachine, req.Spec)
	}
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{
		Returnval: vm.vc.runTask(ctx, vm, "ReconfigVM_Task", "VirtualMachine.reconfigure", run)}}
}

func removesDisk(changes []types.BaseVirtualDeviceConfigSpec) bool {
	return slices.ContainsFunc(changes, func(change types.BaseVirtualDeviceConfigSpec) bool {
		spec := change.GetVirtualDeviceConfigSpec()
		_, disk := spec.Device.(*types.VirtualDisk)
		return disk && spec.Operation == types.VirtualDeviceConfigSpecOperationRemove
	})
}

// reconfigure checks a specification, completes what the simulator would overwrite, and applies it.
func (vc *vCenter) reconfigure(
	ctx *simulator.Context, vm *simulator.VirtualMachine, spec types.VirtualMachineConfigSpec,
) types.BaseMethodFault {
	var fault types.BaseMethodFault
	if id := spec.InstanceUuid; id != "" && vc.instanceUUIDTaken(id, vm) {
		spec.InstanceUuid = uuid.NewString()
	}
	ctx.WithLock(vm, func() {
		if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
			fault = new(types.ConcurrentAccess)
			return
		}
		spec.ChangeVersion = ""
		if spec.Flags != nil {
			flags := vm.Config.Flags
			overlay(&flags, spec.Flags)
			spec.Flags = &flags
		}
		spec.ExtraConfig = withoutVain(vm.Config.ExtraConfig, spec.ExtraConfig)
	})
	if fault == nil {
		fault = vc.checkNetworks(spec.DeviceChange)
	}
	if fault == nil {
		fault = vc.checkISOs(spec.DeviceChange)
	}
	if fault == nil {
		fault = vc.checkSnapshots(ctx, vm, spec.DeviceChange)
	}
	if fault == nil {
		fault = vc.askBeforeEject(vm, spec.DeviceChange)
	}
	if fault != nil {
		return fault
	}
	answer := vm.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: vm.Self, Spec: spec})
	if _, fault := vc.await(answer.(*methods.ReconfigVM_TaskBody).Res.Returnval); fault != nil {
		return fault
	}
	ctx.AutoUpdate(vm, func() {
		if spec.Annotation != "" {
			vm.Summary.Config.Annotation = spec.Annotation
		}
		if vm.Summary.Config.Annotation == "" {
			vm.Summary.Config.Annotation = vm.Config.Annotation
		}
		setTransport(vm, spec.VAppConfig)
		vm.Config.ChangeVersion = changeVersion()
	})
	return nil
}

// overlay copies the fields that are set in one FlagInfo over another: unset means unchanged.
func overlay(into, from *types.VirtualMachineFlagInfo) {
	target, source := reflect.ValueOf(into).Elem(), reflect.ValueOf(from).Elem()
	for i := range source.NumField() {
		if !source.Field(i).IsZero() {
			target.Field(i).Set(source.Field(i))
		}
	}
}

// withoutVain leaves out options that are to be removed and are not there; the simulator would add them, empty.
func withoutVain(present, wanted []types.BaseOptionValue) []types.BaseOptionValue {
	keys := map[string]bool{}
	for _, option := range present {
		keys[option.GetOptionValue().Key] = true
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(option types.BaseOptionValue) bool {
		value := option.GetOptionValue()
		return value.Value == "" && !keys[value.Key]
	})
}

// setTransport changes the OVF environment's transports; a list of one empty string clears them.
func setTransport(vm *simulator.VirtualMachine, spec types.BaseVmConfigSpec) {
	if spec == nil || spec.GetVmConfigSpec().OvfEnvironmentTransport == nil || vm.Config.VAppConfig == nil {
		return
	}
	wanted := slices.DeleteFunc(slices.Clone(spec.GetVmConfigSpec().OvfEnvironmentTransport),
		func(transport string) bool { return transport == "" })
	vm.Config.VAppConfig.GetVmConfigInfo().OvfEnvironmentTransport = wanted
}

// checkNetworks refuses a network that does not exist, and names one that is given by its reference only, which the
// simulator does not look at.
func (vc *vCenter) checkNetworks(changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		nic, ok := spec.Device.(types.BaseVirtualEthernetCard)
		if !ok || spec.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		known := true
		switch backing := nic.GetVirtualEthernetCard().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			if backing.Network != nil {
				if network, ok := vc.registry().Get(*backing.Network).(*mo.Network); ok {
					backing.DeviceName = network.Name
				}
			}
			_, known = vc.byName("Network")[backing.DeviceName]
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: backing.Port.PortgroupKey}
			known = vc.registry().Get(ref) != nil
		case nil:
			known = false
		}
		if !known {
			fault := &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
			fault.Property = "virtualDeviceSpec.device.backing"
			return fault
		}
	}
	return nil
}

// checkISOs refuses a CD-ROM whose image is not on its datastore.
func (vc *vCenter) checkISOs(changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		cdrom, ok := spec.Device.(*types.VirtualCdrom)
		if !ok {
			continue
		}
		backing, ok := cdrom.Backing.(*types.VirtualCdromIsoBackingInfo)
		if !ok {
			continue
		}
		var path object.DatastorePath
		if !path.FromString(backing.FileName) {
			return &types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{}, DatastorePath: backing.FileName}
		}
		file, ok := vc.file(path)
		if !ok {
			return &types.InvalidDatastorePath{
				InvalidDatastore: types.InvalidDatastore{Name: path.Datastore}, DatastorePath: backing.FileName}
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			return &types.FileNotFound{FileFault: types.FileFault{File: backing.FileName}}
		}
	}
	return nil
}

// file returns where a datastore's file is on this machine's disk.
func (vc *vCenter) file(path object.DatastorePath) (string, bool) {
	for _, entity := range vc.registry().All("Datastore") {
		ds := entity.(*simulator.Datastore)
		if ds.Name == path.Datastore {
			return filepath.Join(ds.Info.GetDatastoreInfo().Url, filepath.Clean("/"+path.Path)), true
		}
	}
	return "", false
}
