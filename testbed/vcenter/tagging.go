package main

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

// tagStore holds categories, tags and what they are attached to, with the rules of com.vmware.cis.tagging.
type tagStore struct {
	mu         sync.Mutex
	categories map[string]*category
	tags       map[string]*tag
	attached   map[string]map[objectID]bool // tag id -> objects
}

type category struct {
	ID              string   `json:"id"`
	Name            string   `json:"name"`
	Description     string   `json:"description"`
	Cardinality     string   `json:"cardinality"` // SINGLE or MULTIPLE
	AssociableTypes []string `json:"associableTypes"`
	UsedBy          []string `json:"usedBy"`
}

type tag struct {
	ID          string   `json:"id"`
	CategoryID  string   `json:"categoryId"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	UsedBy      []string `json:"usedBy"`
}

// objectID is a vAPI DynamicID: an inventory object's type and MoRef value.
type objectID struct{ Type, ID string }

func newTagStore() *tagStore {
	return &tagStore{
		categories: map[string]*category{},
		tags:       map[string]*tag{},
		attached:   map[string]map[objectID]bool{},
	}
}

func (s *tagStore) createCategory(c category) (string, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.TrimSpace(c.Name) == "" {
		return "", invalidArgument("a category needs a name")
	}
	if c.Cardinality != "SINGLE" && c.Cardinality != "MULTIPLE" {
		return "", invalidArgument("cardinality must be SINGLE or MULTIPLE")
	}
	if s.categoryNamed(c.Name) != nil {
		return "", alreadyExists("category " + c.Name)
	}
	id, err := chosenID("Category", c.ID)
	if err != nil {
		return "", err
	}
	if _, taken := s.categories[id]; taken {
		return "", alreadyExists("category " + id)
	}
	c.ID = id
	s.categories[c.ID] = &c
	return c.ID, nil
}

// chosenID is the id that a client wants for something new, if it is one, or a random one.
func chosenID(kind, wanted string) (string, *apiError) {
	prefix, suffix := "urn:vmomi:InventoryService"+kind+":", ":GLOBAL"
	if wanted == "" {
		return prefix + uuid.NewString() + suffix, nil
	}
	middle, isURN := strings.CutPrefix(wanted, prefix)
	middle, isGlobal := strings.CutSuffix(middle, suffix)
	if _, err := uuid.Parse(middle); !isURN || !isGlobal || err != nil {
		return "", invalidArgument("not the id of a " + strings.ToLower(kind) + ": " + wanted)
	}
	return wanted, nil
}

func (s *tagStore) categoryNamed(name string) *category {
	for _, c := range s.categories {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (s *tagStore) category(id string) (category, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.categories[id]
	if !ok {
		return category{}, notFound("category " + id)
	}
	return *c, nil
}

// updateCategory changes what is given; a cardinality can only widen, and types can only be added.
func (s *tagStore) updateCategory(id string, change map[string]any) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.categories[id]
	if !ok {
		return notFound("category " + id)
	}
	updated := *c
	if name, ok := change["name"].(string); ok && name != c.Name {
		if s.categoryNamed(name) != nil {
			return alreadyExists("category " + name)
		}
		updated.Name = name
	}
	if description, ok := change["description"].(string); ok {
		updated.Description = description
	}
	if cardinality, ok := change["cardinality"].(string); ok {
		if c.Cardinality == "MULTIPLE" && cardinality == "SINGLE" {
			return invalidArgument("cardinality cannot go from MULTIPLE to SINGLE")
		}
		updated.Cardinality = cardinality
	}
	if list, ok := change["associable_types"].([]any); ok {
		wanted := stringList(list)
		for _, old := range c.AssociableTypes {
			if len(wanted) > 0 && !slices.Contains(wanted, old) {
				return invalidArgument("associable types cannot be removed")
			}
		}
		updated.AssociableTypes = wanted
	}
	*c = updated
	return nil
}

// deleteCategory also deletes the category's tags, which detaches them.
func (s *tagStore) deleteCategory(id string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.categories[id]; !ok {
		return notFound("category " + id)
	}
	delete(s.categories, id)
	for tagID, t := range s.tags {
		if t.CategoryID == id {
			delete(s.tags, tagID)
			delete(s.attached, tagID)
		}
	}
	return nil
}

func (s *tagStore) createTag(t tag) (string, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.TrimSpace(t.Name) == "" {
		return "", invalidArgument("a tag needs a name")
	}
	if _, ok := s.categories[t.CategoryID]; !ok {
		return "", notFound("category " + t.CategoryID)
	}
	if s.tagNamed(t.CategoryID, t.Name) != nil {
		return "", alreadyExists("tag " + t.Name)
	}
	id, err := chosenID("Tag", t.ID)
	if err != nil {
		return "", err
	}
	if _, taken := s.tags[id]; taken {
		return "", alreadyExists("tag " + id)
	}
	t.ID = id
	s.tags[t.ID] = &t
	s.attached[t.ID] = map[objectID]bool{}
	return t.ID, nil
}

func (s *tagStore) tagNamed(categoryID, name string) *tag {
	for _, t := range s.tags {
		if t.CategoryID == categoryID && t.Name == name {
			return t
		}
	}
	return nil
}

func (s *tagStore) tag(id string) (tag, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tags[id]
	if !ok {
		return tag{}, notFound("tag " + id)
	}
	return *t, nil
}

func (s *tagStore) updateTag(id string, change map[string]any) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tags[id]
	if !ok {
		return notFound("tag " + id)
	}
	if name, ok := change["name"].(string); ok && name != t.Name {
		if s.tagNamed(t.CategoryID, name) != nil {
			return alreadyExists("tag " + name)
		}
		t.Name = name
	}
	if description, ok := change["description"].(string); ok {
		t.Description = description
	}
	return nil
}

func (s *tagStore) deleteTag(id string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tags[id]; !ok {
		return notFound("tag " + id)
	}
	delete(s.tags, id)
	delete(s.attached, id)
	return nil
}

// setUse adds an entity to, or removes it from, those that use a category or tag.
func (s *tagStore) setUse(id, entity string, used bool) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	var users *[]string
	if c, ok := s.categories[id]; ok {
		users = &c.UsedBy
	} else if t, ok := s.tags[id]; ok {
		users = &t.UsedBy
	} else {
		return notFound(id)
	}
	*users = slices.DeleteFunc(slices.Clone(*users), func(u string) bool { return u == entity })
	if used {
		*users = append(*users, entity)
	}
	return nil
}

func (s *tagStore) categoryIDs(match func(category) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for id, c := range s.categories {
		if match(*c) {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

func (s *tagStore) tagIDs(match func(tag) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for id, t := range s.tags {
		if match(*t) {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

// attach is a no-op when the tag is attached already. A second tag of a SINGLE category is refused.
func (s *tagStore) attach(tagID string, object objectID) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tags[tagID]
	if !ok {
		return notFound("tag " + tagID)
	}
	c := s.categories[t.CategoryID]
	if !c.accepts(object.Type) {
		return invalidArgument("tags of category " + c.Name + " cannot be attached to " + object.Type)
	}
	if c.Cardinality == "SINGLE" && s.hasOther(*t, object) {
		return invalidArgument("category " + c.Name + " allows one tag on an object only")
	}
	s.attached[tagID][object] = true
	return nil
}

// hasOther says whether another tag of the same category is on an object. The caller holds mu.
func (s *tagStore) hasOther(t tag, object objectID) bool {
	for other, objects := range s.attached {
		if other != t.ID && objects[object] && s.tags[other].CategoryID == t.CategoryID {
			return true
		}
	}
	return false
}

// attachable says whether a tag could still be attached. The caller holds mu.
func (s *tagStore) attachable(t tag, object objectID) bool {
	c, ok := s.categories[t.CategoryID]
	if !ok || !c.accepts(object.Type) || s.attached[t.ID][object] {
		return false
	}
	return c.Cardinality != "SINGLE" || !s.hasOther(t, object)
}

func (c *category) accepts(kind string) bool {
	if len(c.AssociableTypes) == 0 {
		return true
	}
	return slices.ContainsFunc(c.AssociableTypes, func(t string) bool {
		return strings.TrimPrefix(t, "urn:vim25:") == kind
	})
}

// detach is a no-op when the tag is not attached.
func (s *tagStore) detach(tagID string, object objectID) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tags[tagID]; !ok {
		return notFound("tag " + tagID)
	}
	delete(s.attached[tagID], object)
	return nil
}

func (s *tagStore) objectsOf(tagID string) ([]objectID, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tags[tagID]; !ok {
		return nil, notFound("tag " + tagID)
	}
	objects := []objectID{}
	for object := range s.attached[tagID] {
		objects = append(objects, object)
	}
	sort.Slice(objects, func(i, j int) bool { return objects[i].ID < objects[j].ID })
	return objects, nil
}

func (s *tagStore) tagsOf(object objectID) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for id, objects := range s.attached {
		if objects[object] {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

// forget drops a destroyed object's attachments.
func (s *tagStore) forget(ref types.ManagedObjectReference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, objects := range s.attached {
		delete(objects, objectID{ref.Type, ref.Value})
	}
}
