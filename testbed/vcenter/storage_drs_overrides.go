package main

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const podConfigPath = "podStorageDrsEntry.storageDrsConfig."

// ConfigureStorageDrsForPodTask changes a datastore cluster's own settings and those of single VMs in it; the
// simulator forgets the latter.
func (m *storageDRS) ConfigureStorageDrsForPodTask(
	ctx *simulator.Context, req *types.ConfigureStorageDrsForPod_Task,
) soap.HasFault {
	body := new(methods.ConfigureStorageDrsForPod_TaskBody)
	pod, ok := m.vc.registry().Get(req.Pod).(*simulator.StoragePod)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.Pod})
		return body
	}
	run := func(*simulator.Context, *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, m.vc.configurePod(pod, &req.Spec, req.Modify)
	}
	body.Res = &types.ConfigureStorageDrsForPod_TaskResponse{Returnval: m.vc.runTask(
		ctx, pod, "ConfigureStorageDrsForPod_Task", "StorageResourceManager.configureStorageDrsForPod", run)}
	return body
}

// configurePod applies all of a specification or nothing of it.
func (vc *vCenter) configurePod(
	pod *simulator.StoragePod, spec *types.StorageDrsConfigSpec, modify bool,
) (fault types.BaseMethodFault) {
	for _, change := range spec.VmConfigSpec {
		if change.Info != nil && !vc.isInPod(change.Info.Vm, pod) {
			return &types.InvalidArgument{InvalidProperty: "spec.vmConfigSpec.info.vm"}
		}
	}
	ctx := vc.newContext()
	ctx.WithLock(pod, func() {
		config := &pod.PodStorageDrsEntry.StorageDrsConfig
		var entries []types.StorageDrsVmConfigInfo
		if modify {
			entries = slices.Clone(config.VmConfig)
		}
		if entries, fault = changedEntries(entries, spec.VmConfigSpec); fault != nil {
			return
		}
		changes := []types.PropertyChange{{Name: podConfigPath + "vmConfig", Val: entries}}
		if s := spec.PodConfigSpec; s != nil && s.Enabled != nil {
			changes = append(changes, types.PropertyChange{Name: podConfigPath + "podConfig.enabled", Val: *s.Enabled})
		}
		if s := spec.PodConfigSpec; s != nil && s.DefaultVmBehavior != "" {
			changes = append(changes,
				types.PropertyChange{Name: podConfigPath + "podConfig.defaultVmBehavior", Val: s.DefaultVmBehavior})
		}
		ctx.Update(pod, changes)
	})
	return fault
}

// changedEntries carries out an array update: nothing is added twice, what is edited must be there.
func changedEntries(
	entries []types.StorageDrsVmConfigInfo, changes []types.StorageDrsVmConfigSpec,
) ([]types.StorageDrsVmConfigInfo, types.BaseMethodFault) {
	for _, change := range changes {
		if change.Info == nil {
			return nil, &types.InvalidArgument{InvalidProperty: "spec.vmConfigSpec.info"}
		}
		key := *change.Info.Vm
		at := slices.IndexFunc(entries, func(e types.StorageDrsVmConfigInfo) bool { return *e.Vm == key })
		switch {
		case change.Operation == types.ArrayUpdateOperationAdd && at < 0:
			entries = append(entries, *change.Info)
		case change.Operation == types.ArrayUpdateOperationEdit && at >= 0:
			entries[at] = mergedEntry(entries[at], change.Info)
		default:
			return nil, &types.InvalidArgument{InvalidProperty: "spec.vmConfigSpec"}
		}
	}
	return entries, nil
}

// mergedEntry keeps what the change does not speak of.
func mergedEntry(old types.StorageDrsVmConfigInfo, change *types.StorageDrsVmConfigInfo) types.StorageDrsVmConfigInfo {
	if change.Enabled != nil {
		old.Enabled = change.Enabled
	}
	if change.Behavior != "" {
		old.Behavior = change.Behavior
	}
	if change.IntraVmAffinity != nil {
		old.IntraVmAffinity = change.IntraVmAffinity
	}
	if change.IntraVmAntiAffinity != nil {
		old.IntraVmAntiAffinity = change.IntraVmAntiAffinity
	}
	return old
}

// isInPod tells whether a VM has files on a datastore of the pod.
func (vc *vCenter) isInPod(ref *types.ManagedObjectReference, pod *simulator.StoragePod) (inside bool) {
	if ref == nil {
		return false
	}
	vm, ok := vc.registry().Get(*ref).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	var datastores []types.ManagedObjectReference
	vc.newContext().WithLock(vm, func() { datastores = slices.Clone(vm.Datastore) })
	vc.newContext().WithLock(pod, func() {
		inside = slices.ContainsFunc(datastores, func(ref types.ManagedObjectReference) bool {
			return slices.Contains(pod.ChildEntity, ref)
		})
	})
	return inside
}

// initialConfig is what a placement wants to be kept for the new VM in this pod; nil where it says nothing.
func initialConfig(spec *types.StoragePlacementSpec, pod types.ManagedObjectReference) *types.StorageDrsVmConfigInfo {
	for _, one := range spec.PodSelectionSpec.InitialVmConfig {
		if one.StoragePod == pod && one.VmConfig != nil {
			return one.VmConfig
		}
	}
	return nil
}

// excludesItself tells whether Storage DRS may not recommend anything for the VM that is to be placed.
func excludesItself(spec *types.StoragePlacementSpec, pod types.ManagedObjectReference) bool {
	config := initialConfig(spec, pod)
	return config != nil && config.Enabled != nil && !*config.Enabled && manualDatastore(spec) == nil
}

// keepInitialConfig saves what the applied placement said of its new VM.
func (vc *vCenter) keepInitialConfig(one *recommendation, made types.ManagedObjectReference) {
	wanted := initialConfig(&one.spec, one.pod)
	pod, ok := vc.registry().Get(one.pod).(*simulator.StoragePod)
	if wanted == nil || !ok {
		return
	}
	entry := *wanted
	entry.Vm = &made
	ctx := vc.newContext()
	ctx.WithLock(pod, func() {
		entries := append(slices.Clone(pod.PodStorageDrsEntry.StorageDrsConfig.VmConfig), entry)
		ctx.Update(pod, []types.PropertyChange{{Name: podConfigPath + "vmConfig", Val: entries}})
	})
}

// forgetInPods removes the entries of a VM that is no more.
func (vc *vCenter) forgetInPods(vm types.ManagedObjectReference) {
	for _, entity := range vc.registry().All("StoragePod") {
		pod := entity.(*simulator.StoragePod)
		ctx := vc.newContext()
		ctx.WithLock(pod, func() {
			of := func(e types.StorageDrsVmConfigInfo) bool { return *e.Vm == vm }
			entries := pod.PodStorageDrsEntry.StorageDrsConfig.VmConfig
			if !slices.ContainsFunc(entries, of) {
				return
			}
			entries = slices.DeleteFunc(slices.Clone(entries), of)
			ctx.Update(pod, []types.PropertyChange{{Name: podConfigPath + "vmConfig", Val: entries}})
		})
	}
}
