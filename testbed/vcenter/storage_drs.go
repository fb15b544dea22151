package main

import (
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// storageDRS answers for the StorageResourceManager; what it does not override is the simulator's.
type storageDRS struct {
	*simulator.StorageResourceManager
	vc *vCenter
}

func overrideStorageDRS(vc *vCenter, object mo.Reference) mo.Reference {
	if m, ok := object.(*simulator.StorageResourceManager); ok {
		return &storageDRS{m, vc}
	}
	return nil
}

// RecommendDatastores places a VM that is to be created or cloned.
func (m *storageDRS) RecommendDatastores(ctx *simulator.Context, req *types.RecommendDatastores) soap.HasFault {
	spec := &req.StorageSpec
	if spec.Type != string(types.StoragePlacementSpecPlacementTypeClone) &&
		spec.Type != string(types.StoragePlacementSpecPlacementTypeCreate) {
		return m.StorageResourceManager.RecommendDatastores(ctx, req)
	}
	body := new(methods.RecommendDatastoresBody)
	pod, fault := m.vc.checkPlacement(spec)
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	body.Res = &types.RecommendDatastoresResponse{Returnval: m.vc.recommend(pod, spec)}
	return body
}

// checkPlacement names what is missing in the way of the existing API that a placement replaces.
func (vc *vCenter) checkPlacement(spec *types.StoragePlacementSpec) (*simulator.StoragePod, types.BaseMethodFault) {
	invalid := func(property string) (*simulator.StoragePod, types.BaseMethodFault) {
		return nil, &types.InvalidArgument{InvalidProperty: property}
	}
	if missing := vc.firstMissing(spec.Vm, spec.Folder, spec.ResourcePool, spec.Host,
		spec.PodSelectionSpec.StoragePod); missing != nil {
		return nil, &types.ManagedObjectNotFound{Obj: *missing}
	}
	pod := vc.selectedPod(spec)
	if pod == nil {
		return invalid("podSelectionSpec.storagePod")
	}
	if spec.Folder == nil {
		return invalid("folder")
	}
	if spec.Type == string(types.StoragePlacementSpecPlacementTypeCreate) {
		switch {
		case spec.ResourcePool == nil:
			return invalid("resourcePool")
		case spec.ConfigSpec == nil:
			return invalid("configSpec")
		}
		return pod, nil
	}
	switch {
	case spec.Vm == nil:
		return invalid("vm")
	case spec.CloneName == "":
		return invalid("cloneName")
	case spec.CloneSpec == nil:
		return invalid("cloneSpec")
	case len(vc.placementHosts(spec)) == 0 && len(vc.clustersBehind(pod)) > 1:
		return invalid("spec.host") // nobody said for which of them
	}
	return pod, nil
}

func (vc *vCenter) selectedPod(spec *types.StoragePlacementSpec) *simulator.StoragePod {
	ref := spec.PodSelectionSpec.StoragePod
	if ref == nil && len(spec.PodSelectionSpec.InitialVmConfig) > 0 {
		ref = &spec.PodSelectionSpec.InitialVmConfig[0].StoragePod
	}
	if ref == nil {
		return nil
	}
	pod, _ := vc.registry().Get(*ref).(*simulator.StoragePod)
	return pod
}

// placementHosts are those that the request allows; none when it does not say.
func (vc *vCenter) placementHosts(spec *types.StoragePlacementSpec) []types.ManagedObjectReference {
	pool, host := spec.ResourcePool, spec.Host
	if spec.CloneSpec != nil {
		if spec.CloneSpec.Location.Pool != nil {
			pool = spec.CloneSpec.Location.Pool
		}
		if spec.CloneSpec.Location.Host != nil {
			host = spec.CloneSpec.Location.Host
		}
	}
	return vc.targetHosts(pool, host)
}

// clustersBehind are the compute clusters with a host that mounts a datastore of the pod.
func (vc *vCenter) clustersBehind(pod *simulator.StoragePod) []types.ManagedObjectReference {
	var clusters []types.ManagedObjectReference
	for _, entity := range vc.registry().All("ClusterComputeResource") {
		hosts := vc.hostsOf(entity.Reference())
		if slices.ContainsFunc(vc.podStorage(pod), func(s storage) bool { return len(s.mountedBy(hosts)) > 0 }) {
			clusters = append(clusters, entity.Reference())
		}
	}
	return clusters
}

// recommend ranks the pod's datastores. One that is not enabled for Storage DRS gets no recommendations.
func (vc *vCenter) recommend(pod *simulator.StoragePod, spec *types.StoragePlacementSpec) types.StoragePlacementResult {
	enabled := false
	vc.newContext().WithLock(pod, func() { enabled = pod.PodStorageDrsEntry.StorageDrsConfig.PodConfig.Enabled })
	if !enabled {
		return types.StoragePlacementResult{}
	}
	if excludesItself(spec, pod.Self) {
		return types.StoragePlacementResult{DrsFault: drsFault(spec.Vm, new(types.StorageDrsDisabledOnVm))}
	}
	needed := vc.neededSpace(spec)
	ranked, fault := vc.rank(pod, spec, needed)
	if fault != nil {
		return types.StoragePlacementResult{DrsFault: drsFault(spec.Vm, fault)}
	}
	var list []*recommendation
	moves := vc.recommendations.movesOf(pod.Self)
	for i, s := range ranked {
		one := &recommendation{spec: *spec, pod: pod.Self, target: s.ref}
		if moves == "all" || moves == "first" && i == 0 {
			one.moves = vc.movesAway(s, ranked)
		}
		if len(one.moves) > 0 && spec.DisallowPrerequisiteMoves != nil && *spec.DisallowPrerequisiteMoves {
			continue
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return types.StoragePlacementResult{DrsFault: drsFault(spec.Vm, new(types.CannotPlaceWithoutPrerequisiteMoves))}
	}
	keys := vc.recommendations.add(list, needed, spec.ResourceLeaseDurationSec)
	result := types.StoragePlacementResult{}
	for i, one := range list {
		result.Recommendations = append(result.Recommendations, vc.describe(one, keys[i], i, needed))
	}
	return result
}

func drsFault(vm *types.ManagedObjectReference, fault types.BaseMethodFault) *types.ClusterDrsFaults {
	return &types.ClusterDrsFaults{
		Reason: string(types.RecommendationReasonCodeStoragePlacement),
		FaultsByVm: []types.BaseClusterDrsFaultsFaultsByVm{&types.ClusterDrsFaultsFaultsByVirtualDisk{
			ClusterDrsFaultsFaultsByVm: types.ClusterDrsFaultsFaultsByVm{
				Vm: vm, Fault: []types.LocalizedMethodFault{{Fault: fault}}}}}}
}

// rank returns the datastores that can take the VM: those that all hosts mount before others, then by free space.
func (vc *vCenter) rank(
	pod *simulator.StoragePod, spec *types.StoragePlacementSpec, needed int64,
) ([]storage, types.BaseMethodFault) {
	hosts := vc.placementHosts(spec)
	wanted := manualDatastore(spec)
	var fitting []storage
	compatible := 0
	for _, s := range vc.podStorage(pod) {
		if s.usable() != nil || wanted != nil && *wanted != s.ref || len(hosts) > 0 && len(s.mountedBy(hosts)) == 0 {
			continue
		}
		compatible++
		s.free -= vc.recommendations.held(s.ref, nil)
		if s.free >= needed {
			fitting = append(fitting, s)
		}
	}
	if compatible == 0 {
		return nil, new(types.NoCompatibleDatastore)
	}
	if len(fitting) == 0 {
		return nil, new(types.InsufficientStorageSpace)
	}
	slices.SortStableFunc(fitting, func(a, b storage) int {
		if here, there := len(a.mountedBy(hosts)), len(b.mountedBy(hosts)); here != there {
			return there - here
		}
		if a.free != b.free {
			if a.free > b.free {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return fitting, nil
}

// manualDatastore is the one that the user selected within the pod.
func manualDatastore(spec *types.StoragePlacementSpec) *types.ManagedObjectReference {
	if spec.CloneSpec != nil {
		return spec.CloneSpec.Location.Datastore
	}
	return nil
}

// neededSpace counts disks with their full capacity, as the simulator takes them.
func (vc *vCenter) neededSpace(spec *types.StoragePlacementSpec) int64 {
	sizes := map[int32]int64{}
	if source, ok := vc.source(spec); ok {
		vc.newContext().WithLock(source, func() {
			for _, device := range source.Config.Hardware.Device {
				if disk, ok := device.(*types.VirtualDisk); ok {
					sizes[disk.Key] = disk.CapacityInBytes
				}
			}
		})
	}
	for _, change := range deviceChanges(spec) {
		one := change.GetVirtualDeviceConfigSpec()
		disk, ok := one.Device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		if one.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			delete(sizes, disk.Key)
		} else {
			sizes[disk.Key] = max(disk.CapacityInBytes, disk.CapacityInKB<<10)
		}
	}
	var sum int64
	for _, size := range sizes {
		sum += size
	}
	return sum
}

func (vc *vCenter) source(spec *types.StoragePlacementSpec) (*simulator.VirtualMachine, bool) {
	if spec.Vm == nil {
		return nil, false
	}
	vm, ok := vc.registry().Get(*spec.Vm).(*simulator.VirtualMachine)
	return vm, ok && vm.Config != nil
}

func deviceChanges(spec *types.StoragePlacementSpec) []types.BaseVirtualDeviceConfigSpec {
	var changes []types.BaseVirtualDeviceConfigSpec
	if spec.CloneSpec != nil {
		changes = append(changes, spec.CloneSpec.Location.DeviceChange...)
		if spec.CloneSpec.Config != nil {
			changes = append(changes, spec.CloneSpec.Config.DeviceChange...)
		}
	}
	if spec.ConfigSpec != nil {
		changes = append(changes, spec.ConfigSpec.DeviceChange...)
	}
	return changes
}

// movesAway proposes to move a VM that is no template from a datastore to another one, or from another to a third
// when it has none.
func (vc *vCenter) movesAway(from storage, others []storage) []*types.StorageMigrationAction {
	for _, s := range append([]storage{from}, others...) {
		for _, other := range others {
			if other.ref == s.ref {
				continue
			}
			if vm := vc.anyVMOn(s.ref); vm != nil {
				return []*types.StorageMigrationAction{{
					ClusterAction: types.ClusterAction{Type: "StorageMigrationV1", Target: vm},
					Vm:            *vm, Source: s.ref, Destination: other.ref,
					RelocateSpec: types.VirtualMachineRelocateSpec{Datastore: &other.ref},
				}}
			}
		}
	}
	return nil
}

func (vc *vCenter) anyVMOn(datastore types.ManagedObjectReference) *types.ManagedObjectReference {
	var names []string
	found := map[string]types.ManagedObjectReference{}
	for _, entity := range vc.registry().All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		vc.newContext().WithLock(vm, func() {
			if vm.Config != nil && !vm.Config.Template && slices.Contains(vm.Datastore, datastore) {
				names = append(names, vm.Name)
				found[vm.Name] = vm.Self
			}
		})
	}
	if len(names) == 0 {
		return nil
	}
	ref := found[slices.Min(names)]
	return &ref
}

// describe tells a recommendation as a client sees it; the position among the others makes the rating.
func (vc *vCenter) describe(one *recommendation, key string, position int, needed int64) types.ClusterRecommendation {
	s, _ := vc.storage(one.target)
	percent := func(used int64) float32 { return float32(used) * 100 / float32(max(s.capacity, 1)) }
	used := s.capacity - s.free
	target := one.target
	placement := &types.StoragePlacementAction{
		ClusterAction:   types.ClusterAction{Type: "StoragePlacementV1"},
		RelocateSpec:    types.VirtualMachineRelocateSpec{Datastore: &target},
		Destination:     target,
		SpaceUtilBefore: percent(used), SpaceUtilAfter: percent(used + needed),
		SpaceDemandBefore: percent(used), SpaceDemandAfter: percent(used + needed),
	}
	var actions []types.BaseClusterAction
	for _, move := range one.moves {
		actions = append(actions, move)
	}
	pod := one.pod
	return types.ClusterRecommendation{
		Key: key, Type: "V1", Time: time.Now(), Rating: int32(max(5-position, 1)),
		Reason:     string(types.RecommendationReasonCodeStoragePlacement),
		ReasonText: "Satisfy storage initial placement requests",
		Action:     append(actions, placement), Target: &pod,
	}
}
