package main

import (
	"reflect"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// need is a privilege that a call requires on an object.
type need struct {
	object    types.ManagedObjectReference
	privilege string
}

// needsOf says what a SOAP call requires.
func (vc *vCenter) needsOf(user string, method *simulator.Method) []need {
	this := method.This
	if privilege, ok := simpleNeeds[method.Name]; ok {
		return []need{{vc.entityOf(this), privilege}}
	}
	switch body := method.Body.(type) {
	case *types.CloneVM_Task:
		return vc.cloneNeeds(body)
	case *types.ApplyStorageDrsRecommendation_Task:
		return vc.applyNeeds(body.Key)
	case *types.ConfigureStorageDrsForPod_Task:
		return []need{{body.Pod, "StoragePod.Config"}}
	case *types.ReconfigVM_Task:
		return vc.configNeeds(this, &body.Spec)
	case *types.CreateVM_Task:
		needs := []need{{this, "VirtualMachine.Inventory.Create"}, {body.Pool, "Resource.AssignVMToPool"}}
		return append(needs, vc.networkNeeds(body.Config.DeviceChange)...)
	case *types.RelocateVM_Task:
		return vc.relocateNeeds(this, &body.Spec)
	case *types.MigrateVM_Task:
		return vc.relocateNeeds(this, &types.VirtualMachineRelocateSpec{Pool: body.Pool})
	case *types.MarkAsVirtualMachine:
		return []need{{this, "VirtualMachine.Provisioning.MarkAsVM"}, {body.Pool, "Resource.AssignVMToPool"}}
	case *types.RegisterVM_Task:
		needs := []need{{this, "VirtualMachine.Inventory.Register"}}
		return append(needs, needOn(body.Pool, "Resource.AssignVMToPool")...)
	case *types.PowerOnMultiVM_Task:
		needs := []need{}
		for _, vm := range body.Vm {
			needs = append(needs, need{vm, "VirtualMachine.Interact.PowerOn"})
		}
		return needs
	case *types.MoveIntoFolder_Task:
		needs := []need{}
		for _, moved := range body.List {
			privilege := byKind["MoveIntoFolder_Task"][moved.Type]
			needs = append(needs, need{moved, privilege}, need{this, privilege})
		}
		return needs
	case *types.Destroy_Task:
		return vc.destroyNeeds(this)
	case *types.Rename_Task:
		return needIfKnown(this, byKind["Rename_Task"][this.Type])
	case *types.CancelTask:
		return vc.cancelNeeds(user, this)
	case *types.DeleteDatastoreFile_Task:
		return vc.fileNeeds(body.Name)
	case *types.MakeDirectory:
		return vc.fileNeeds(body.Name)
	case *types.MoveDatastoreFile_Task:
		return vc.fileNeeds(body.SourceName, body.DestinationName)
	case *types.CopyDatastoreFile_Task:
		return vc.fileNeeds(body.SourceName, body.DestinationName)
	case *types.CreateVirtualDisk_Task:
		return vc.fileNeeds(body.Name)
	case *types.DeleteVirtualDisk_Task:
		return vc.fileNeeds(body.Name)
	case *types.MoveVirtualDisk_Task:
		return vc.fileNeeds(body.SourceName, body.DestName)
	case *types.CopyVirtualDisk_Task:
		return vc.fileNeeds(body.SourceName, body.DestName)
	}
	return nil
}

func needIfKnown(object types.ManagedObjectReference, privilege string) []need {
	if privilege == "" {
		return nil
	}
	return []need{{object, privilege}}
}

// needOn is a privilege on what a call may name, or not.
func needOn(object *types.ManagedObjectReference, privilege string) []need {
	if object == nil {
		return nil
	}
	return []need{{*object, privilege}}
}

// cancelNeeds: everybody may cancel what he has started.
func (vc *vCenter) cancelNeeds(user string, this types.ManagedObjectReference) []need {
	task, ok := vc.registry().Get(this).(*simulator.Task)
	if !ok {
		return nil
	}
	about := vc.client.ServiceContent.RootFolder
	own := false
	vc.newContext().WithLock(task, func() {
		if reason, ok := task.Info.Reason.(*types.TaskReasonUser); ok {
			own = reason.UserName == user
		}
		if task.Info.Entity != nil {
			about = *task.Info.Entity
		}
	})
	if own {
		return nil
	}
	return []need{{about, "Global.CancelTask"}}
}

// entityOf is the datastore of its browser and the VM of its snapshot; any other object is itself.
func (vc *vCenter) entityOf(ref types.ManagedObjectReference) types.ManagedObjectReference {
	switch ref.Type {
	case "HostDatastoreBrowser":
		for _, entity := range vc.registry().All("Datastore") {
			if entity.(*simulator.Datastore).Browser == ref {
				return entity.Reference()
			}
		}
	case "VirtualMachineSnapshot":
		if snapshot, ok := vc.registry().Get(ref).(*simulator.VirtualMachineSnapshot); ok {
			return snapshot.Vm
		}
	}
	return ref
}

// destroyNeeds: a folder takes what is in it along, and its parent loses a child.
func (vc *vCenter) destroyNeeds(this types.ManagedObjectReference) []need {
	needs := needIfKnown(this, byKind["Destroy_Task"][this.Type])
	f, ok := vc.registry().Get(this).(*simulator.Folder)
	if !ok {
		return needs
	}
	var children []types.ManagedObjectReference
	vc.newContext().WithLock(this, func() { children = slices.Clone(f.ChildEntity) })
	for _, parent := range vc.parents(this) {
		needs = append(needs, need{parent, "Folder.Delete"})
	}
	for _, child := range children {
		if child.Type == "VirtualMachine" {
			needs = append(needs, need{child, "VirtualMachine.Inventory.Delete"})
		}
	}
	return needs
}

func (vc *vCenter) cloneNeeds(req *types.CloneVM_Task) []need {
	vm, ok := vc.registry().Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		return nil
	}
	source := "VirtualMachine.Provisioning.Clone"
	switch template := isTemplate(vc.newContext(), vm); {
	case template && req.Spec.Template:
		source = "VirtualMachine.Provisioning.CloneTemplate"
	case template:
		source = "VirtualMachine.Provisioning.DeployTemplate"
	case req.Spec.Template:
		source = "VirtualMachine.Provisioning.CreateTemplateFromVM"
	}
	needs := []need{{req.This, source}, {req.Folder, "VirtualMachine.Inventory.CreateFromExisting"}}
	if pool := req.Spec.Location.Pool; pool != nil {
		needs = append(needs, need{*pool, "Resource.AssignVMToPool"})
	}
	if req.Spec.Customization != nil {
		needs = append(needs, need{req.This, "VirtualMachine.Provisioning.Customize"})
	}
	needs = append(needs, need{vc.datastoreFor(vm, req.Spec.Location.Datastore), "Datastore.AllocateSpace"})
	needs = append(needs, vc.networkNeeds(req.Spec.Location.DeviceChange)...)
	if req.Spec.Config != nil {
		needs = append(needs, vc.configNeeds(req.Folder, req.Spec.Config)...)
	}
	if req.Spec.PowerOn {
		needs = append(needs, need{req.Folder, "VirtualMachine.Interact.PowerOn"})
	}
	return needs
}

// datastoreFor is where a VM's copy goes.
func (vc *vCenter) datastoreFor(
	vm *simulator.VirtualMachine, wanted *types.ManagedObjectReference,
) (ref types.ManagedObjectReference) {
	if wanted != nil {
		return *wanted
	}
	vc.newContext().WithLock(vm, func() {
		if len(vm.Datastore) > 0 {
			ref = vm.Datastore[0]
		}
	})
	return ref
}

func (vc *vCenter) relocateNeeds(this types.ManagedObjectReference, spec *types.VirtualMachineRelocateSpec) []need {
	needs := []need{{this, "Resource.ColdMigrate"}}
	vm, ok := vc.registry().Get(this).(*simulator.VirtualMachine)
	if ok {
		vc.newContext().WithLock(vm, func() {
			if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
				needs[0].privilege = "Resource.HotMigrate"
			}
		})
	}
	needs = append(needs, needOn(spec.Pool, "Resource.AssignVMToPool")...)
	return append(needs, needOn(spec.Datastore, "Datastore.AllocateSpace")...)
}

// configNeeds are the privileges for what a specification sets; on is the VM, or the folder of one that is not
// there yet.
func (vc *vCenter) configNeeds(on types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec) []need {
	wants := []struct {
		set       bool
		privilege string
	}{
		{spec.Name != "" && on.Type == "VirtualMachine", "VirtualMachine.Config.Rename"},
		{spec.Annotation != "", "VirtualMachine.Config.Annotation"},
		{spec.NumCPUs != 0 || spec.NumCoresPerSocket != nil, "VirtualMachine.Config.CPUCount"},
		{spec.MemoryMB != 0, "VirtualMachine.Config.Memory"},
		{len(spec.ExtraConfig) > 0, "VirtualMachine.Config.AdvancedConfig"},
		{spec.CpuAllocation != nil || spec.MemoryAllocation != nil, "VirtualMachine.Config.Resource"},
		{spec.ChangeTrackingEnabled != nil, "VirtualMachine.Config.ChangeTracking"},
		{spec.SwapPlacement != "", "VirtualMachine.Config.SwapPlacement"},
		{spec.ManagedBy != nil, "VirtualMachine.Config.ManagedBy"},
		{setsOthers(spec), "VirtualMachine.Config.Settings"},
	}
	var needs []need
	for _, want := range wants {
		if want.set {
			needs = append(needs, need{on, want.privilege})
		}
	}
	for _, change := range spec.DeviceChange {
		needs = append(needs, need{on, devicePrivilege(change.GetVirtualDeviceConfigSpec())})
	}
	return append(needs, vc.networkNeeds(spec.DeviceChange)...)
}

func setsOthers(spec *types.VirtualMachineConfigSpec) bool {
	return spec.GuestId != "" || spec.Flags != nil || spec.Tools != nil || spec.BootOptions != nil ||
		spec.CpuHotAddEnabled != nil || spec.MemoryHotAddEnabled != nil || spec.Firmware != "" || spec.VAppConfig != nil
}

func devicePrivilege(change *types.VirtualDeviceConfigSpec) string {
	_, isDisk := change.Device.(*types.VirtualDisk)
	switch {
	case isDisk && change.Operation == types.VirtualDeviceConfigSpecOperationRemove:
		return "VirtualMachine.Config.RemoveDisk"
	case isDisk && change.Operation == types.VirtualDeviceConfigSpecOperationEdit:
		return "VirtualMachine.Config.DiskExtend"
	case isDisk && change.FileOperation != "":
		return "VirtualMachine.Config.AddNewDisk"
	case isDisk:
		return "VirtualMachine.Config.AddExistingDisk"
	case change.Operation == types.VirtualDeviceConfigSpecOperationEdit:
		return "VirtualMachine.Config.EditDevice"
	}
	return "VirtualMachine.Config.AddRemoveDevice"
}

// networkNeeds: who connects a card needs a right on its network.
func (vc *vCenter) networkNeeds(changes []types.BaseVirtualDeviceConfigSpec) []need {
	var needs []need
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec.Operation == types.VirtualDeviceConfigSpecOperationRemove || reflect.ValueOf(spec.Device).IsNil() {
			continue
		}
		if ref := vc.networkOf(spec.Device.GetVirtualDevice().Backing); ref != nil {
			needs = append(needs, need{*ref, "Network.Assign"})
		}
	}
	return needs
}

func (vc *vCenter) networkOf(backing types.BaseVirtualDeviceBackingInfo) *types.ManagedObjectReference {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if b.Network != nil {
			return b.Network
		}
		if network, ok := vc.byName("Network")[b.DeviceName]; ok {
			ref := network.Reference()
			return &ref
		}
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
		if vc.registry().Get(ref) != nil {
			return &ref
		}
	}
	return nil
}

// fileNeeds are about the datastores of "[name] path".
func (vc *vCenter) fileNeeds(paths ...string) []need {
	var needs []need
	for _, path := range paths {
		var p object.DatastorePath
		if !p.FromString(path) {
			continue
		}
		if datastore, ok := vc.byName("Datastore")[p.Datastore]; ok {
			needs = append(needs, need{datastore.Reference(), "Datastore.FileManagement"})
		}
	}
	return needs
}

// refusedFor says why a user may not make a call: there is no such object for everybody, or for him.
func (vc *vCenter) refusedFor(user string, target mo.Reference, method *simulator.Method) types.BaseMethodFault {
	if internal(user) {
		return nil
	}
	ref := target.Reference()
	if vc.rights.isHidden(ref) {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	about := ref
	if view, ok := method.Body.(*types.CreateContainerView); ok {
		about = view.Container
	}
	if _, isEntity := target.(mo.Entity); (isEntity || about != ref) && !vc.granted(user, about, "System.View") {
		return &types.NoPermission{Object: &about, PrivilegeId: "System.View"}
	}
	if fault := vc.lacking(user, method.Name, vc.needsOf(user, method)); fault != nil {
		return fault
	}
	return nil
}
