package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/govmomi/pbm/methods"
	pbm "github.com/vmware/govmomi/pbm/simulator"
	pbmtypes "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// policies are what the policy service knows beyond the simulator: which policy a VM's home and each of its disks
// have, and which datastores cannot serve a policy.
type policies struct {
	mu         sync.Mutex
	registry   *simulator.Registry
	associated map[pbmtypes.PbmServerObjectRef]string // to a policy's id
	unfit      map[string][]string                    // a policy's id to names of datastores
}

func newPolicies() *policies {
	return &policies{associated: map[pbmtypes.PbmServerObjectRef]string{}, unfit: map[string][]string{}}
}

// servePolicies is the registry of the policy service, with our answers in place of the simulator's.
func (vc *vCenter) servePolicies() *simulator.Registry {
	r := pbm.New()
	vc.policies.registry = r
	for _, ref := range []types.ManagedObjectReference{
		{Type: "PbmProfileProfileManager", Value: "ProfileManager"},
		{Type: "PbmPlacementSolver", Value: "placementSolver"},
	} {
		switch object := r.Get(ref).(type) {
		case *pbm.ProfileManager:
			r.Put(&profileManager{object, vc})
		case *pbm.PlacementSolver:
			r.Put(&placementSolver{object, vc})
		}
	}
	r.Handler = vc.refusePolicyCall
	return r
}

// refusePolicyCall wants StorageProfile.View on the root folder for all questions about policies.
func (vc *vCenter) refusePolicyCall(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil || internal(ctx.Session.UserName) || method.Name == "PbmRetrieveServiceContent" {
		return nil, nil
	}
	root := vc.client.ServiceContent.RootFolder
	if fault := vc.lacking(ctx.Session.UserName, method.Name, []need{{root, "StorageProfile.View"}}); fault != nil {
		return nil, fault
	}
	return nil, nil
}

// profileManager tells which policies VMs and disks have; the simulator tells none.
type profileManager struct {
	*pbm.ProfileManager
	vc *vCenter
}

func (m *profileManager) PbmQueryAssociatedProfile(req *pbmtypes.PbmQueryAssociatedProfile) soap.HasFault {
	return &methods.PbmQueryAssociatedProfileBody{
		Res: &pbmtypes.PbmQueryAssociatedProfileResponse{Returnval: m.vc.policies.of(req.Entity)}}
}

func (m *profileManager) PbmQueryAssociatedProfiles(req *pbmtypes.PbmQueryAssociatedProfiles) soap.HasFault {
	answer := new(pbmtypes.PbmQueryAssociatedProfilesResponse)
	for _, entity := range req.Entities {
		answer.Returnval = append(answer.Returnval,
			pbmtypes.PbmQueryProfileResult{Object: entity, ProfileId: m.vc.policies.of(entity)})
	}
	return &methods.PbmQueryAssociatedProfilesBody{Res: answer}
}

// placementSolver judges the hubs that are asked for; the simulator finds all datastores good, asked for or not.
type placementSolver struct {
	*pbm.PlacementSolver
	vc *vCenter
}

func (s *placementSolver) PbmCheckCompatibility(ctx *simulator.Context, req *pbmtypes.PbmCheckCompatibility) soap.HasFault {
	body := s.PlacementSolver.PbmCheckCompatibility(ctx, req).(*methods.PbmCheckCompatibilityBody)
	var found []pbmtypes.PbmPlacementCompatibilityResult
	for _, result := range body.Res.Returnval {
		if len(req.HubsToSearch) > 0 && !slices.ContainsFunc(req.HubsToSearch, func(hub pbmtypes.PbmPlacementHub) bool {
			return hub.HubId == result.Hub.HubId
		}) {
			continue
		}
		if s.vc.isUnfit(result.Hub.HubId, req.Profile.UniqueId) {
			result.Error = []types.LocalizedMethodFault{{
				Fault:            &pbmtypes.PbmCompatibilityCheckFault{Hub: result.Hub},
				LocalizedMessage: "The datastore does not match the storage policy."}}
		}
		found = append(found, result)
	}
	body.Res.Returnval = found
	return body
}

func (vc *vCenter) isUnfit(datastore, profile string) bool {
	ds, ok := vc.registry().Get(types.ManagedObjectReference{Type: "Datastore", Value: datastore}).(*simulator.Datastore)
	if !ok {
		return false
	}
	vc.policies.mu.Lock()
	defer vc.policies.mu.Unlock()
	return slices.Contains(vc.policies.unfit[profile], ds.Name)
}

func (p *policies) of(entity pbmtypes.PbmServerObjectRef) []pbmtypes.PbmProfileId {
	p.mu.Lock()
	defer p.mu.Unlock()
	entity.ServerUuid = ""
	if id, ok := p.associated[entity]; ok {
		return []pbmtypes.PbmProfileId{{UniqueId: id}}
	}
	return nil
}

// all are the policies by their names.
func (p *policies) all() map[string]string {
	manager := p.registry.Get(types.ManagedObjectReference{
		Type: "PbmProfileProfileManager", Value: "ProfileManager"}).(*profileManager)
	details := manager.PbmQueryProfileDetails(&pbmtypes.PbmQueryProfileDetails{}).(*methods.PbmQueryProfileDetailsBody)
	names := map[string]string{}
	for _, d := range details.Res.Returnval {
		profile := d.Profile.GetPbmCapabilityProfile()
		names[profile.Name] = profile.ProfileId.UniqueId
	}
	return names
}

// badPolicy is a policy in a clone's location that does not exist.
func (vc *vCenter) badPolicy(location *types.VirtualMachineRelocateSpec) types.BaseMethodFault {
	wanted := definedProfiles(location.Profile)
	for _, disk := range location.Disk {
		wanted = append(wanted, definedProfiles(disk.Profile)...)
	}
	if len(wanted) == 0 {
		return nil
	}
	var known []string
	for _, id := range vc.policies.all() {
		known = append(known, id)
	}
	if slices.ContainsFunc(wanted, func(id string) bool { return !slices.Contains(known, id) }) {
		return &types.InvalidArgument{InvalidProperty: "spec.location.profile"}
	}
	return nil
}

// associate notes the policies that a clone was asked for: the location's is its home's, each disk has its own.
func (vc *vCenter) associate(vm types.ManagedObjectReference, location *types.VirtualMachineRelocateSpec) {
	vc.policies.mu.Lock()
	defer vc.policies.mu.Unlock()
	for _, id := range definedProfiles(location.Profile) {
		vc.policies.associated[pbmtypes.PbmServerObjectRef{
			ObjectType: string(pbmtypes.PbmObjectTypeVirtualMachine), Key: vm.Value}] = id
	}
	for _, disk := range location.Disk {
		for _, id := range definedProfiles(disk.Profile) {
			vc.policies.associated[pbmtypes.PbmServerObjectRef{
				ObjectType: string(pbmtypes.PbmObjectTypeVirtualDiskId),
				Key:        fmt.Sprintf("%s:%d", vm.Value, disk.DiskId)}] = id
		}
	}
}

func definedProfiles(specs []types.BaseVirtualMachineProfileSpec) (ids []string) {
	for _, spec := range specs {
		if defined, ok := spec.(*types.VirtualMachineDefinedProfileSpec); ok {
			ids = append(ids, defined.ProfileId)
		}
	}
	return ids
}

// policyChange is the body of POST /policies.
type policyChange struct {
	Policy string   `json:"policy"` // its name
	Unfit  []string `json:"unfit"`  // names of the datastores, and no others, that cannot serve it
}

func (vc *vCenter) changePolicy(change policyChange) error {
	id, ok := vc.policies.all()[change.Policy]
	if !ok {
		return fmt.Errorf("no policy %q", change.Policy)
	}
	vc.policies.mu.Lock()
	defer vc.policies.mu.Unlock()
	vc.policies.unfit[id] = change.Unfit
	return nil
}
