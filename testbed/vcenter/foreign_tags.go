package main

import "fmt"

// foreignTags is the body of POST /foreign-tags: tags that others made, spread over some categories.
type foreignTags struct {
	Count      int    `json:"count"`
	Category   string `json:"category"`   // its name, or the beginning of their names when there are several
	Categories int    `json:"categories"` // default 1
}

// createForeignTags makes Category with Category-tag-0 …, or Category-0, Category-1 … with the tags in turn.
func (vc *vCenter) createForeignTags(wanted foreignTags) error {
	wanted.Categories = max(wanted.Categories, 1)
	if wanted.Count < 1 || wanted.Category == "" {
		return fmt.Errorf("want a count of at least 1 and a category")
	}
	ids := make([]string, wanted.Categories)
	for i := range ids {
		name := wanted.Category
		if wanted.Categories > 1 {
			name = fmt.Sprintf("%s-%d", name, i)
		}
		id, problem := vc.tags.createCategory(category{
			Name: name, Description: "somebody else's", Cardinality: "MULTIPLE", UsedBy: []string{}, AssociableTypes: []string{}})
		if problem != nil {
			return fmt.Errorf("category %s: %s", name, problem.message)
		}
		ids[i] = id
	}
	for i := range wanted.Count {
		name := fmt.Sprintf("%s-tag-%d", wanted.Category, i)
		t := tag{Name: name, Description: "somebody else's", CategoryID: ids[i%len(ids)], UsedBy: []string{}}
		if _, problem := vc.tags.createTag(t); problem != nil {
			return fmt.Errorf("tag %s: %s", name, problem.message)
		}
	}
	return nil
}
