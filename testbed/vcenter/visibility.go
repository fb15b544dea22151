package main

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// viewable are the properties that System.View is enough for; all others want System.Read.
var viewable = []string{"name", "parent", "childEntity", "childType", "effectiveRole", "disabledMethod", "overallStatus",
	"recentTask", "customValue", "declaredAlarmState", "triggeredAlarmState", "tag", "availableField",
	"vmFolder", "hostFolder", "datastoreFolder", "networkFolder"}

func readPrivilege(path string) string {
	first, _, _ := strings.Cut(path, ".")
	if slices.Contains(viewable, first) {
		return "System.View"
	}
	return "System.Read"
}

// userOf is who a context acts for; "" for this program itself.
func userOf(ctx *simulator.Context) string {
	if ctx.Session == nil {
		return ""
	}
	return ctx.Session.UserName
}

// firstHidden returns an object that a read starts from and that is not there, as far as anybody can see.
func (vc *vCenter) firstHidden(user string, set []types.PropertyFilterSpec) *types.ManagedObjectReference {
	if internal(user) {
		return nil
	}
	for _, spec := range set {
		for _, object := range spec.ObjectSet {
			if vc.rights.isHidden(object.Obj) && (spec.ReportMissingObjectsInResults == nil ||
				!*spec.ReportMissingObjectsInResults) {
				return &object.Obj
			}
		}
	}
	return nil
}

// trimmed takes out what a user may not see. An object that was asked for by its reference stays, without its
// properties; one that was only found on the way goes.
func (vc *vCenter) trimmed(
	user string, set []types.PropertyFilterSpec, contents []types.ObjectContent,
) []types.ObjectContent {
	if !vc.rights.trims(user) {
		return contents
	}
	asked := map[types.ManagedObjectReference]bool{}
	for _, spec := range set {
		for _, object := range spec.ObjectSet {
			asked[object.Obj] = true
		}
	}
	var visible []types.ObjectContent
	for _, content := range contents {
		switch {
		case vc.rights.isHidden(content.Obj):
		case vc.sees(user, content.Obj):
			visible = append(visible, vc.readable(user, content))
		case asked[content.Obj]:
			visible = append(visible, vc.readable(user, content))
		}
	}
	return visible
}

// readable replaces properties that a user may not read by the reason, and drops references to what he may not see.
func (vc *vCenter) readable(user string, content types.ObjectContent) types.ObjectContent {
	may := map[string]bool{}
	for _, privilege := range []string{"System.View", "System.Read"} {
		may[privilege] = !isInventory(content.Obj) || vc.granted(user, content.Obj, privilege)
	}
	readable := types.ObjectContent{Obj: content.Obj, MissingSet: content.MissingSet}
	for _, property := range content.PropSet {
		privilege := readPrivilege(property.Name)
		if !may[privilege] {
			readable.MissingSet = append(readable.MissingSet, types.MissingProperty{
				Path: property.Name, Fault: types.LocalizedMethodFault{
					Fault:            &types.NoPermission{Object: &content.Obj, PrivilegeId: privilege},
					LocalizedMessage: "Permission to perform this operation was denied.",
				}})
			continue
		}
		property.Val = vc.visibleReferences(user, property.Val)
		readable.PropSet = append(readable.PropSet, property)
	}
	return readable
}

// isInventory says whether an object has permissions of its own.
func isInventory(ref types.ManagedObjectReference) bool {
	return slices.Contains([]string{"Folder", "StoragePod", "Datacenter", "ComputeResource", "ClusterComputeResource",
		"HostSystem", "ResourcePool", "VirtualApp", "VirtualMachine", "Datastore", "Network", "OpaqueNetwork",
		"DistributedVirtualPortgroup", "DistributedVirtualSwitch", "VmwareDistributedVirtualSwitch"}, ref.Type)
}

func (vc *vCenter) visibleReferences(user string, value types.AnyType) types.AnyType {
	var refs []types.ManagedObjectReference
	switch list := value.(type) {
	case types.ArrayOfManagedObjectReference:
		refs = list.ManagedObjectReference
	case *types.ArrayOfManagedObjectReference:
		refs = list.ManagedObjectReference
	default:
		return value
	}
	return types.ArrayOfManagedObjectReference{ManagedObjectReference: vc.visible(user, refs)}
}

func (vc *vCenter) visible(user string, refs []types.ManagedObjectReference) []types.ManagedObjectReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref types.ManagedObjectReference) bool {
		return !vc.sees(user, ref)
	})
}
