package main

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// operation answers one operation of the Automation API; input has the parameters under their vAPI names.
type operation func(vc *vCenter, input map[string]any) (any, *apiError)

const (
	categoryService    = "com.vmware.cis.tagging.category"
	tagService         = "com.vmware.cis.tagging.tag"
	associationService = "com.vmware.cis.tagging.tag_association"
	sessionService     = "com.vmware.cis.session"
	dynamicID          = "com.vmware.vapi.std.dynamic_ID"
	largestBatch       = 2000
)

// operations are what this double knows of the Automation API, beside the session.
var operations = map[string]operation{
	categoryService + ".create":                              categoryCreate,
	categoryService + ".get":                                 categoryGet,
	categoryService + ".update":                              categoryUpdate,
	categoryService + ".delete":                              categoryDelete,
	categoryService + ".list":                                categoryList,
	categoryService + ".list_used_categories":                categoryListUsed,
	categoryService + ".add_to_used_by":                      setUse("category_id", true),
	categoryService + ".remove_from_used_by":                 setUse("category_id", false),
	tagService + ".create":                                   tagCreate,
	tagService + ".get":                                      tagGet,
	tagService + ".update":                                   tagUpdate,
	tagService + ".delete":                                   tagDelete,
	tagService + ".list":                                     tagList,
	tagService + ".list_used_tags":                           tagListUsed,
	tagService + ".list_tags_for_category":                   tagListForCategory,
	tagService + ".add_to_used_by":                           setUse("tag_id", true),
	tagService + ".remove_from_used_by":                      setUse("tag_id", false),
	associationService + ".attach":                           attach,
	associationService + ".detach":                           detach,
	associationService + ".attach_multiple_tags_to_object":   multipleTags(attachOne),
	associationService + ".detach_multiple_tags_from_object": multipleTags(detachOne),
	associationService + ".attach_tag_to_multiple_objects":   multipleObjects(attachOne),
	associationService + ".detach_tag_from_multiple_objects": multipleObjects(detachOne),
	associationService + ".list_attached_objects":            listAttachedObjects,
	associationService + ".list_attached_objects_on_tags":    listAttachedObjectsOnTags,
	associationService + ".list_attached_tags":               listAttachedTags,
	associationService + ".list_attached_tags_on_objects":    listAttachedTagsOnObjects,
	associationService + ".list_attachable_tags":             listAttachableTags,
}

func text(input map[string]any, name string) string {
	value, _ := input[name].(string)
	return value
}

func fields(input map[string]any, name string) map[string]any {
	value, _ := input[name].(map[string]any)
	return value
}

func objectOf(value any) objectID {
	plain, _ := value.(map[string]any)
	return objectID{text(plain, "type"), text(plain, "id")}
}

func objectsOf(input map[string]any) []objectID {
	list, _ := input["object_ids"].([]any)
	objects := make([]objectID, len(list))
	for i := range list {
		objects[i] = objectOf(list[i])
	}
	return objects
}

func (o objectID) value() structure {
	return structure{dynamicID, map[string]any{"type": o.Type, "id": o.ID}}
}

func objectList(objects []objectID) []any {
	list := make([]any, len(objects))
	for i := range objects {
		list[i] = objects[i].value()
	}
	return list
}

func categoryCreate(vc *vCenter, input map[string]any) (any, *apiError) {
	spec := fields(input, "create_spec")
	kinds, _ := spec["associable_types"].([]any)
	id, err := vc.tags.createCategory(category{
		ID: text(spec, "category_id"), Name: text(spec, "name"), Description: text(spec, "description"),
		Cardinality: text(spec, "cardinality"), AssociableTypes: stringList(kinds), UsedBy: []string{},
	})
	return id, err
}

func categoryGet(vc *vCenter, input map[string]any) (any, *apiError) {
	c, err := vc.tags.category(text(input, "category_id"))
	return structure{"com.vmware.cis.tagging.category_model", map[string]any{
		"id": c.ID, "name": c.Name, "description": c.Description, "cardinality": c.Cardinality,
		"associable_types": c.AssociableTypes, "used_by": c.UsedBy,
	}}, err
}

func categoryUpdate(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, vc.tags.updateCategory(text(input, "category_id"), fields(input, "update_spec"))
}

func categoryDelete(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, vc.tags.deleteCategory(text(input, "category_id"))
}

func categoryList(vc *vCenter, _ map[string]any) (any, *apiError) {
	return vc.tags.categoryIDs(func(category) bool { return true }), nil
}

func categoryListUsed(vc *vCenter, input map[string]any) (any, *apiError) {
	return vc.tags.categoryIDs(func(c category) bool { return contains(c.UsedBy, input) }), nil
}

func contains(users []string, input map[string]any) bool {
	for _, user := range users {
		if user == text(input, "used_by_entity") {
			return true
		}
	}
	return false
}

func setUse(parameter string, used bool) operation {
	return func(vc *vCenter, input map[string]any) (any, *apiError) {
		return nil, vc.tags.setUse(text(input, parameter), text(input, "used_by_entity"), used)
	}
}

func tagCreate(vc *vCenter, input map[string]any) (any, *apiError) {
	spec := fields(input, "create_spec")
	return vc.tags.createTag(tag{ID: text(spec, "tag_id"), Name: text(spec, "name"),
		Description: text(spec, "description"), CategoryID: text(spec, "category_id"), UsedBy: []string{}})
}

func tagGet(vc *vCenter, input map[string]any) (any, *apiError) {
	t, err := vc.tags.tag(text(input, "tag_id"))
	return structure{"com.vmware.cis.tagging.tag_model", map[string]any{
		"id": t.ID, "category_id": t.CategoryID, "name": t.Name, "description": t.Description, "used_by": t.UsedBy,
	}}, err
}

func tagUpdate(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, vc.tags.updateTag(text(input, "tag_id"), fields(input, "update_spec"))
}

func tagDelete(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, vc.tags.deleteTag(text(input, "tag_id"))
}

func tagList(vc *vCenter, _ map[string]any) (any, *apiError) {
	return vc.tags.tagIDs(func(tag) bool { return true }), nil
}

func tagListUsed(vc *vCenter, input map[string]any) (any, *apiError) {
	return vc.tags.tagIDs(func(t tag) bool { return contains(t.UsedBy, input) }), nil
}

func tagListForCategory(vc *vCenter, input map[string]any) (any, *apiError) {
	id := text(input, "category_id")
	if _, err := vc.tags.category(id); err != nil {
		return nil, err
	}
	return vc.tags.tagIDs(func(t tag) bool { return t.CategoryID == id }), nil
}

// exists says whether an object that a tag is to be attached to is in the inventory.
func (vc *vCenter) exists(o objectID) *apiError {
	if vc.registry().Get(types.ManagedObjectReference{Type: o.Type, Value: o.ID}) == nil {
		return notFound("object " + o.Type + ":" + o.ID)
	}
	return nil
}

type change func(vc *vCenter, tagID string, object objectID) *apiError

func attachOne(vc *vCenter, tagID string, object objectID) *apiError {
	if err := vc.exists(object); err != nil {
		return err
	}
	return vc.tags.attach(tagID, object)
}

func detachOne(vc *vCenter, tagID string, object objectID) *apiError {
	return vc.tags.detach(tagID, object)
}

func attach(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, attachOne(vc, text(input, "tag_id"), objectOf(input["object_id"]))
}

func detach(vc *vCenter, input map[string]any) (any, *apiError) {
	return nil, detachOne(vc, text(input, "tag_id"), objectOf(input["object_id"]))
}

// multipleTags carries out what it can; what fails is told in the result and is no error of the call.
func multipleTags(do change) operation {
	return func(vc *vCenter, input map[string]any) (any, *apiError) {
		ids, _ := input["tag_ids"].([]any)
		var problems []*apiError
		for _, id := range stringList(ids) {
			if err := do(vc, id, objectOf(input["object_id"])); err != nil {
				problems = append(problems, err)
			}
		}
		return batchResult(problems), nil
	}
}

func multipleObjects(do change) operation {
	return func(vc *vCenter, input map[string]any) (any, *apiError) {
		id := text(input, "tag_id")
		if _, err := vc.tags.tag(id); err != nil {
			return nil, err
		}
		objects, err := batchOf(input)
		if err != nil {
			return nil, err
		}
		var problems []*apiError
		for _, object := range objects {
			if err := do(vc, id, object); err != nil {
				problems = append(problems, err)
			}
		}
		return batchResult(problems), nil
	}
}

// batchOf returns a batch's objects, unless there are more than a vCenter takes in one call.
func batchOf(input map[string]any) ([]objectID, *apiError) {
	objects := objectsOf(input)
	if len(objects) > largestBatch {
		return nil, invalidArgument(fmt.Sprintf("%d objects are more than %d", len(objects), largestBatch))
	}
	return objects, nil
}

func batchResult(problems []*apiError) structure {
	messages := []any{}
	for _, problem := range problems {
		messages = append(messages, problem.fields()["messages"].([]any)...)
	}
	return structure{associationService + ".batch_result", map[string]any{
		"success": len(problems) == 0, "error_messages": messages}}
}

func listAttachedObjects(vc *vCenter, input map[string]any) (any, *apiError) {
	objects, err := vc.tags.objectsOf(text(input, "tag_id"))
	return objectList(objects), err
}

func listAttachedObjectsOnTags(vc *vCenter, input map[string]any) (any, *apiError) {
	ids, _ := input["tag_ids"].([]any)
	list := []any{}
	for _, id := range stringList(ids) {
		objects, err := vc.tags.objectsOf(id)
		if err != nil {
			continue // a tag that is gone has no entry in the answer
		}
		list = append(list, structure{associationService + ".tag_to_objects", map[string]any{
			"tag_id": id, "object_ids": objectList(objects)}})
	}
	return list, nil
}

func listAttachedTags(vc *vCenter, input map[string]any) (any, *apiError) {
	return vc.tags.tagsOf(objectOf(input["object_id"])), nil
}

func listAttachedTagsOnObjects(vc *vCenter, input map[string]any) (any, *apiError) {
	objects, err := batchOf(input)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, object := range objects {
		list = append(list, structure{associationService + ".object_to_tags", map[string]any{
			"object_id": object.value(), "tag_ids": vc.tags.tagsOf(object)}})
	}
	return list, nil
}

func listAttachableTags(vc *vCenter, input map[string]any) (any, *apiError) {
	object := objectOf(input["object_id"])
	return vc.tags.tagIDs(func(t tag) bool {
		return vc.tags.attachable(t, object)
	}), nil
}

// invoke answers an operation for somebody who is logged in.
func (vc *vCenter) invoke(user, name string, input map[string]any) (any, *apiError) {
	run, ok := operations[name]
	if !ok {
		return nil, operationNotFound(name)
	}
	if err := vc.unauthorized(user, name, input); err != nil {
		return nil, err
	}
	output, err := run(vc, input)
	return vc.visibleObjects(user, output), err
}

func sessionInfo(s restSession) structure {
	return structure{sessionService + ".info", map[string]any{
		"user":               s.User,
		"created_time":       s.Created.Format("2006-01-02T15:04:05.000Z"),
		"last_accessed_time": s.LastAccessed.Format("2006-01-02T15:04:05.000Z"),
	}}
}
