package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// authorizationManager answers questions about privileges truly; the simulator grants everything.
type authorizationManager struct {
	*simulator.AuthorizationManager
	vc *vCenter
}

func overrideAuthorization(vc *vCenter, object mo.Reference) mo.Reference {
	if m, ok := object.(*simulator.AuthorizationManager); ok {
		return &authorizationManager{m, vc}
	}
	return nil
}

// FetchUserPrivilegeOnEntities lists what a user may do with each entity. Permissions of tagging, which are global,
// are none of them unless they are on the root, too.
func (m *authorizationManager) FetchUserPrivilegeOnEntities(
	_ *simulator.Context, req *types.FetchUserPrivilegeOnEntities,
) soap.HasFault {
	answer := new(types.FetchUserPrivilegeOnEntitiesResponse)
	for _, entity := range req.Entities {
		answer.Returnval = append(answer.Returnval, types.UserPrivilegeResult{
			Entity: entity, Privileges: m.privileges(req.UserName, entity)})
	}
	return &methods.FetchUserPrivilegeOnEntitiesBody{Res: answer}
}

// privileges are all that a user has on an entity, in the order of their names.
func (m *authorizationManager) privileges(user string, entity types.ManagedObjectReference) []string {
	known := object.AuthorizationRoleList(m.RoleList).ByName("Admin").Privilege
	permissions, restricted := m.vc.rights.of(user)
	if restricted {
		known = nil
		for _, p := range permissions {
			known = append(known, p.privileges...)
		}
	}
	var granted []string
	for _, privilege := range known {
		if !slices.Contains(granted, privilege) && m.has(user, entity, privilege) {
			granted = append(granted, privilege)
		}
	}
	slices.Sort(granted)
	return granted
}

// has is granted without global permissions on tags, which these queries do not see.
func (m *authorizationManager) has(user string, entity types.ManagedObjectReference, privilege string) bool {
	permissions, restricted := m.vc.rights.of(user)
	if !restricted || !strings.HasPrefix(privilege, tagging) {
		return m.vc.granted(user, entity, privilege)
	}
	return m.vc.inherited(permissions, entity, privilege, true)
}

func (m *authorizationManager) availability(
	user string, entity types.ManagedObjectReference, ids []string,
) (found []types.PrivilegeAvailability) {
	for _, id := range ids {
		found = append(found, types.PrivilegeAvailability{PrivId: id, IsGranted: m.has(user, entity, id)})
	}
	return found
}

// HasUserPrivilegeOnEntities asks for a user.
func (m *authorizationManager) HasUserPrivilegeOnEntities(
	_ *simulator.Context, req *types.HasUserPrivilegeOnEntities,
) soap.HasFault {
	answer := new(types.HasUserPrivilegeOnEntitiesResponse)
	for _, entity := range req.Entities {
		answer.Returnval = append(answer.Returnval, types.EntityPrivilege{
			Entity: entity, PrivAvailability: m.availability(req.UserName, entity, req.PrivId)})
	}
	return &methods.HasUserPrivilegeOnEntitiesBody{Res: answer}
}

// HasPrivilegeOnEntities asks for the user of a session.
func (m *authorizationManager) HasPrivilegeOnEntities(
	_ *simulator.Context, req *types.HasPrivilegeOnEntities,
) soap.HasFault {
	answer := new(types.HasPrivilegeOnEntitiesResponse)
	user := m.vc.logins.userOf(req.SessionId)
	for _, entity := range req.Entity {
		answer.Returnval = append(answer.Returnval, types.EntityPrivilege{
			Entity: entity, PrivAvailability: m.availability(user, entity, req.PrivId)})
	}
	return &methods.HasPrivilegeOnEntitiesBody{Res: answer}
}

// HasPrivilegeOnEntity asks about one entity.
func (m *authorizationManager) HasPrivilegeOnEntity(
	_ *simulator.Context, req *types.HasPrivilegeOnEntity,
) soap.HasFault {
	answer := new(types.HasPrivilegeOnEntityResponse)
	user := m.vc.logins.userOf(req.SessionId)
	for _, id := range req.PrivId {
		answer.Returnval = append(answer.Returnval, m.has(user, req.Entity, id))
	}
	return &methods.HasPrivilegeOnEntityBody{Res: answer}
}

// RetrieveEntityPermissions adds the permissions of users with roles to those that the simulator has. Their roles are
// no entries of the role list: all have the same id.
func (m *authorizationManager) RetrieveEntityPermissions(
	ctx *simulator.Context, req *types.RetrieveEntityPermissions,
) soap.HasFault {
	if !m.vc.granted(userOf(ctx), req.Entity, "System.Read") {
		return &methods.RetrieveEntityPermissionsBody{Fault_: simulator.Fault("", &types.NoPermission{
			Object: &req.Entity, PrivilegeId: "System.Read"})}
	}
	answer := m.AuthorizationManager.RetrieveEntityPermissions(ctx, req)
	body, ok := answer.(*methods.RetrieveEntityPermissionsBody)
	if !ok || body.Res == nil {
		return answer
	}
	on := m.vc.rights.on(req.Entity)
	for _, user := range slices.Sorted(maps.Keys(on)) {
		body.Res.Returnval = append(body.Res.Returnval, types.Permission{
			Entity: &req.Entity, Principal: user, RoleId: customRole, Propagate: on[user]})
	}
	return body
}

// customRole stands for every role that a test gave a user.
const customRole = 1000

// visibleIndex finds only what the caller may see.
type visibleIndex struct {
	*searchIndex
}

func overrideVisibleIndex(vc *vCenter, object mo.Reference) mo.Reference {
	if index, ok := overrideSearchIndex(vc, object).(*searchIndex); ok {
		return &visibleIndex{index}
	}
	return nil
}

// trim takes what the caller may not see out of an answer's Returnval, whether that is one reference or many.
func (s *visibleIndex) trim(ctx *simulator.Context, answer soap.HasFault) soap.HasFault {
	if answer.Fault() != nil || !s.vc.rights.trims(userOf(ctx)) {
		return answer
	}
	found := reflect.ValueOf(answer).Elem().FieldByName("Res").Elem().FieldByName("Returnval")
	switch refs := found.Interface().(type) {
	case *types.ManagedObjectReference:
		if refs != nil && !s.vc.sees(userOf(ctx), *refs) {
			found.SetZero()
		}
	case []types.ManagedObjectReference:
		found.Set(reflect.ValueOf(s.vc.visible(userOf(ctx), refs)))
	}
	return answer
}

// FindByUuid finds one.
func (s *visibleIndex) FindByUuid(ctx *simulator.Context, req *types.FindByUuid) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindByUuid(ctx, req))
}

// FindAllByUuid finds all.
func (s *visibleIndex) FindAllByUuid(ctx *simulator.Context, req *types.FindAllByUuid) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindAllByUuid(ctx, req))
}

// FindByInventoryPath wants a right on what is at the path only.
func (s *visibleIndex) FindByInventoryPath(ctx *simulator.Context, req *types.FindByInventoryPath) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindByInventoryPath(ctx, req))
}

// FindChild finds one by name.
func (s *visibleIndex) FindChild(ctx *simulator.Context, req *types.FindChild) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindChild(ctx, req))
}

// FindByDatastorePath finds a VM by its configuration file.
func (s *visibleIndex) FindByDatastorePath(ctx *simulator.Context, req *types.FindByDatastorePath) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindByDatastorePath(ctx, req))
}

// FindByDnsName finds a guest by its host name.
func (s *visibleIndex) FindByDnsName(ctx *simulator.Context, req *types.FindByDnsName) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindByDnsName(ctx, req))
}

// FindByIp finds a guest by its address.
func (s *visibleIndex) FindByIp(ctx *simulator.Context, req *types.FindByIp) soap.HasFault {
	return s.trim(ctx, s.searchIndex.FindByIp(ctx, req))
}
