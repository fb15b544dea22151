package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// role gives a user privileges on an object, and on what is below it.
type role struct {
	Entity     string   `json:"entity"` // an inventory path, "/", a MoRef such as "Folder:group-v3", or "global"
	Privileges []string `json:"privileges"`
	Propagate  *bool    `json:"propagate,omitempty"` // to children; default true
}

const everywhere = "global" // the entity of a global permission

// systemPrivileges are in every role that has a privilege at all.
var systemPrivileges = []string{"System.Anonymous", "System.Read", "System.View"}

// rights knows what users may do. Who has no roles may do everything.
type rights struct {
	mu     sync.Mutex
	users  map[string][]permission
	hidden map[types.ManagedObjectReference]bool
	log    []usedPrivilege
	seen   map[usedPrivilege]bool
}

// permission is a role whose object is known.
type permission struct {
	object     types.ManagedObjectReference // none: global
	privileges []string
	propagate  bool
}

// usedPrivilege is a privilege that a call needed.
type usedPrivilege struct {
	User      string `json:"user"`
	Method    string `json:"method"`
	Privilege string `json:"privilege"`
	Object    string `json:"object"`
	Granted   bool   `json:"granted"`
}

func newRights() *rights {
	return &rights{
		users:  map[string][]permission{},
		hidden: map[types.ManagedObjectReference]bool{},
		seen:   map[usedPrivilege]bool{},
	}
}

// complete adds what vCenter adds; a role that names one of the system privileges is taken as it is.
func (r role) complete() []string {
	named := slices.ContainsFunc(r.Privileges, func(p string) bool { return strings.HasPrefix(p, "System.") })
	if len(r.Privileges) == 0 || named {
		return r.Privileges
	}
	return append(slices.Clone(r.Privileges), systemPrivileges...)
}

func (r *rights) of(user string) ([]permission, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	permissions, restricted := r.users[user]
	return permissions, restricted
}

// on lists the users who have a permission on an object itself, and whether it propagates.
func (r *rights) on(ref types.ManagedObjectReference) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]bool{}
	for user, permissions := range r.users {
		for _, p := range permissions {
			if p.object == ref {
				found[user] = found[user] || p.propagate
			}
		}
	}
	return found
}

func (r *rights) isHidden(ref types.ManagedObjectReference) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hidden[ref]
}

// trims says whether a user may see less than everything.
func (r *rights) trims(user string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, restricted := r.users[user]
	return restricted || len(r.hidden) > 0 && !internal(user)
}

// internal users are this program's own.
func internal(user string) bool { return user == "" || user == "com.vmware.vcenter" }

func (r *rights) note(used usedPrivilege) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen[used] {
		r.seen[used] = true
		r.log = append(r.log, used)
	}
}

func (r *rights) used() []usedPrivilege {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]usedPrivilege{}, r.log...)
}

func (r *rights) forgetUsed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
	clear(r.seen)
}

// granted says whether a user has a privilege on an object. The nearest permission counts, and hides those above it;
// a VM has two ways up, its folder and its pool.
func (vc *vCenter) granted(user string, ref types.ManagedObjectReference, privilege string) bool {
	permissions, restricted := vc.rights.of(user)
	if !restricted {
		return true
	}
	for _, p := range permissions {
		reaches := p.propagate || strings.HasPrefix(privilege, tagging) // tags hang on the global root itself
		if p.object.Value == "" && reaches && slices.Contains(p.privileges, privilege) {
			return true
		}
	}
	if _, isEntity := vc.registry().Get(ref).(mo.Entity); !isEntity {
		ref = vc.client.ServiceContent.RootFolder // managers have no permissions of their own
	}
	return vc.inherited(permissions, ref, privilege, true)
}

func (vc *vCenter) inherited(
	permissions []permission, ref types.ManagedObjectReference, privilege string, itself bool,
) bool {
	found, has := false, false
	for _, p := range permissions {
		if p.object == ref && (itself || p.propagate) {
			found, has = true, has || slices.Contains(p.privileges, privilege)
		}
	}
	if found {
		return has
	}
	return slices.ContainsFunc(vc.parents(ref), func(parent types.ManagedObjectReference) bool {
		return vc.inherited(permissions, parent, privilege, false)
	})
}

func (vc *vCenter) parents(ref types.ManagedObjectReference) []types.ManagedObjectReference {
	entity, ok := vc.registry().Get(ref).(mo.Entity)
	if !ok {
		return nil
	}
	var above []types.ManagedObjectReference
	vc.newContext().WithLock(ref, func() {
		if parent := entity.Entity().Parent; parent != nil {
			above = append(above, *parent)
		}
		vm, ok := entity.(*simulator.VirtualMachine)
		switch {
		case !ok:
		case vm.ResourcePool != nil:
			above = append(above, *vm.ResourcePool)
		case vm.Runtime.Host != nil:
			above = append(above, *vm.Runtime.Host)
		}
	})
	return above
}

// sees says whether an object is there for a user: with a right to view it, and not hidden.
func (vc *vCenter) sees(user string, ref types.ManagedObjectReference) bool {
	if internal(user) {
		return true
	}
	if vc.rights.isHidden(ref) {
		return false
	}
	if _, isEntity := vc.registry().Get(ref).(mo.Entity); !isEntity {
		return true
	}
	return vc.granted(user, ref, "System.View")
}

// lacking returns what a user is told who needs privileges and has not all of them.
func (vc *vCenter) lacking(user, method string, needs []need) *types.NoPermission {
	for _, n := range needs {
		has := vc.granted(user, n.object, n.privilege)
		vc.rights.note(usedPrivilege{user, method, n.privilege, n.object.String(), has})
		if !has {
			return &types.NoPermission{Object: &n.object, PrivilegeId: n.privilege}
		}
	}
	return nil
}

// resolve finds an object by what a test calls it.
func (vc *vCenter) resolve(name string) (types.ManagedObjectReference, error) {
	for _, entity := range vc.registry().All("") {
		ref := entity.Reference()
		if ref.String() == name || ref.Value == name || strings.HasPrefix(name, "/") && vc.path(entity) == name {
			return ref, nil
		}
	}
	return types.ManagedObjectReference{}, fmt.Errorf("nothing in the inventory is called %q", name)
}

// postRights takes {"user": NAME, "roles": [{"entity": …, "privileges": […], "propagate": true}]}; without roles the
// user may do everything again.
func (vc *vCenter) postRights(w http.ResponseWriter, r *http.Request) {
	var body struct {
		User  string `json:"user"`
		Roles []role `json:"roles"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || vc.logins.passwords[body.User] == "" {
		http.Error(w, `want {"user": NAME, "roles": [{"entity": PATH, "privileges": [ID]}]}`, http.StatusBadRequest)
		return
	}
	if err := vc.setRights(body.User, body.Roles); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	vc.lookAgain()
}

// setRights replaces a user's roles; nil: everything.
func (vc *vCenter) setRights(user string, roles []role) error {
	permissions := []permission{}
	for _, role := range roles {
		p := permission{privileges: role.complete(), propagate: role.Propagate == nil || *role.Propagate}
		if role.Entity != everywhere {
			ref, err := vc.resolve(role.Entity)
			if err != nil {
				return err
			}
			p.object = ref
		}
		permissions = append(permissions, p)
	}
	vc.rights.mu.Lock()
	defer vc.rights.mu.Unlock()
	if roles == nil {
		delete(vc.rights.users, user)
	} else {
		vc.rights.users[user] = permissions
	}
	return nil
}

// postHide takes {"objects": [NAME, …], "subtree": true}, and hides no others from now on.
func (vc *vCenter) postHide(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Objects []string `json:"objects"`
		Subtree bool     `json:"subtree"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		http.Error(w, `want {"objects": [NAME, …], "subtree": true}`, http.StatusBadRequest)
		return
	}
	roots := map[types.ManagedObjectReference]bool{}
	for _, name := range body.Objects {
		ref, err := vc.resolve(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		roots[ref] = true
	}
	hidden := roots
	if body.Subtree {
		hidden = map[types.ManagedObjectReference]bool{}
		for _, entity := range vc.registry().All("") {
			if vc.isBelow(entity.Reference(), roots) {
				hidden[entity.Reference()] = true
			}
		}
	}
	vc.rights.mu.Lock()
	vc.rights.hidden = hidden
	vc.rights.mu.Unlock()
	vc.lookAgain()
}

func (vc *vCenter) isBelow(ref types.ManagedObjectReference, roots map[types.ManagedObjectReference]bool) bool {
	return roots[ref] || slices.ContainsFunc(vc.parents(ref), func(parent types.ManagedObjectReference) bool {
		return vc.isBelow(parent, roots)
	})
}

// lookAgain tells all collectors that what their clients may see has changed.
func (vc *vCenter) lookAgain() {
	for _, s := range vc.logins.openSOAP() {
		if s.session == nil {
			continue
		}
		for _, object := range s.session.Registry.AllReference("PropertyCollector") {
			if c, ok := object.(*collector); ok {
				c.lookAgain()
			}
		}
	}
}

// lookAgain lets the filters be computed anew.
func (c *collector) lookAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.filters {
		f.reselect, f.reread = true, true
	}
	c.signal()
}
