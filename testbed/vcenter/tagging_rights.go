package main

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

const tagging = "InventoryService.Tagging."

// taggingPrivileges are what the operations of the tagging services require; all others only read.
var taggingPrivileges = map[string]string{
	categoryService + ".create":              "CreateCategory",
	categoryService + ".update":              "EditCategory",
	categoryService + ".delete":              "DeleteCategory",
	categoryService + ".add_to_used_by":      "ModifyUsedByForCategory",
	categoryService + ".remove_from_used_by": "ModifyUsedByForCategory",
	tagService + ".create":                   "CreateTag",
	tagService + ".update":                   "EditTag",
	tagService + ".delete":                   "DeleteTag",
	tagService + ".add_to_used_by":           "ModifyUsedByForTag",
	tagService + ".remove_from_used_by":      "ModifyUsedByForTag",
}

// taggingNeeds are what an operation requires. Tags have no place in the inventory: a right on the root or a global
// one counts. Who attaches or detaches must be able to read the object.
func (vc *vCenter) taggingNeeds(name string, input map[string]any) []need {
	root := vc.client.ServiceContent.RootFolder
	if privilege, ok := taggingPrivileges[name]; ok {
		return []need{{root, tagging + privilege}}
	}
	operation, isAssociation := strings.CutPrefix(name, associationService+".")
	if !isAssociation || !strings.HasPrefix(operation, "attach") && !strings.HasPrefix(operation, "detach") {
		return nil
	}
	needs := []need{{root, tagging + "AttachTag"}}
	for _, object := range append(objectsOf(input), objectOf(input["object_id"])) {
		ref := types.ManagedObjectReference{Type: object.Type, Value: object.ID}
		if vc.registry().Get(ref) != nil {
			needs = append(needs, need{ref, "System.Read"})
		}
	}
	return needs
}

// unauthorized is what a user is told who lacks a privilege.
func (vc *vCenter) unauthorized(user, name string, input map[string]any) *apiError {
	lacking := vc.lacking(user, name, vc.taggingNeeds(name, input))
	if lacking == nil {
		return nil
	}
	return &apiError{"unauthorized", apiStatuses["unauthorized"], refusal(user, lacking, input)}
}

// refusal is the text of a refusal: none that tells what was missing, but for the right to attach.
func refusal(user string, lacking *types.NoPermission, input map[string]any) string {
	if lacking.PrivilegeId != tagging+"AttachTag" {
		return ""
	}
	return user + " does not have attach or detach privilege on " + text(input, "tag_id")
}

// visibleObjects drops objects that a user may not see from an answer.
func (vc *vCenter) visibleObjects(user string, output any) any {
	if !vc.rights.trims(user) {
		return output
	}
	switch value := output.(type) {
	case []any:
		visible := slices.DeleteFunc(slices.Clone(value), func(item any) bool {
			object, ok := item.(structure)
			return ok && object.name == dynamicID && !vc.sees(user, types.ManagedObjectReference{
				Type: text(object.fields, "type"), Value: text(object.fields, "id")})
		})
		for i := range visible {
			visible[i] = vc.visibleObjects(user, visible[i])
		}
		return visible
	case structure:
		for name, field := range value.fields {
			value.fields[name] = vc.visibleObjects(user, field)
		}
	}
	return output
}
