package main

import (
	"io/fs"
	"path"
	"path/filepath"
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// snapshot is what GET /state shows: everything that a client could leave behind, in a fixed order, so that a test
// can compare before and after.
type snapshot struct {
	Folders         []string            `json:"folders"`
	VirtualMachines []vmState           `json:"virtualMachines"`
	Categories      []category          `json:"categories"`
	Tags            []tag               `json:"tags"`
	Attachments     map[string][]string `json:"attachments"` // tag id -> objects
	Files           map[string][]string `json:"files"`       // datastore -> paths; a directory ends with a slash
	Sessions        sessionState        `json:"sessions"`
}

type vmState struct {
	Object       string            `json:"object"`
	Path         string            `json:"path"`
	PowerState   string            `json:"powerState"`
	Template     bool              `json:"template"`
	InstanceUUID string            `json:"instanceUuid"`
	Datastores   []string          `json:"datastores"`
	ExtraConfig  map[string]string `json:"extraConfig"`
}

type sessionState struct {
	SOAP []string `json:"soap"`
	REST []string `json:"rest"`
}

func (vc *vCenter) state() snapshot {
	s := snapshot{Folders: []string{}, VirtualMachines: []vmState{}, Attachments: map[string][]string{}}
	for _, entity := range vc.registry().All("Folder") {
		s.Folders = append(s.Folders, vc.path(entity))
	}
	sort.Strings(s.Folders)
	for _, entity := range vc.registry().All("VirtualMachine") {
		s.VirtualMachines = append(s.VirtualMachines, vc.vmState(entity.(*simulator.VirtualMachine)))
	}
	sort.Slice(s.VirtualMachines, func(i, j int) bool { return s.VirtualMachines[i].Path < s.VirtualMachines[j].Path })
	s.Categories, s.Tags = []category{}, []tag{}
	for _, id := range vc.tags.categoryIDs(func(category) bool { return true }) {
		if c, err := vc.tags.category(id); err == nil {
			s.Categories = append(s.Categories, c)
		}
	}
	for _, id := range vc.tags.tagIDs(func(tag) bool { return true }) {
		if t, err := vc.tags.tag(id); err == nil {
			s.Tags = append(s.Tags, t)
			objects, _ := vc.tags.objectsOf(id)
			for _, object := range objects {
				s.Attachments[id] = append(s.Attachments[id], object.Type+":"+object.ID)
			}
		}
	}
	s.Files = vc.datastoreFiles()
	s.Sessions = vc.sessions()
	return s
}

func (vc *vCenter) path(entity mo.Entity) string {
	var name string
	var parent *types.ManagedObjectReference
	vc.newContext().WithLock(entity, func() { name, parent = entity.Entity().Name, entity.Entity().Parent })
	if parent == nil {
		return "/"
	}
	above, ok := vc.registry().Get(*parent).(mo.Entity)
	if !ok {
		return name
	}
	return path.Join(vc.path(above), name)
}

func (vc *vCenter) vmState(vm *simulator.VirtualMachine) vmState {
	s := vmState{Object: vm.Self.String(), Path: vc.path(vm), ExtraConfig: map[string]string{}, Datastores: []string{}}
	vc.newContext().WithLock(vm, func() {
		s.PowerState = string(vm.Runtime.PowerState)
		for _, ref := range vm.Datastore {
			s.Datastores = append(s.Datastores, ref.Value)
		}
		if vm.Config == nil {
			return
		}
		s.Template = vm.Config.Template
		s.InstanceUUID = vm.Config.InstanceUuid
		for _, option := range vm.Config.ExtraConfig {
			value := option.GetOptionValue()
			s.ExtraConfig[value.Key], _ = value.Value.(string)
		}
	})
	return s
}

func (vc *vCenter) datastoreFiles() map[string][]string {
	vc.aside.RLock()
	defer vc.aside.RUnlock()
	files := map[string][]string{}
	for name, entity := range vc.byName("Datastore") {
		root := entity.(*simulator.Datastore).Info.GetDatastoreInfo().Url
		files[name] = []string{}
		_ = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || file == root {
				return nil
			}
			relative, _ := filepath.Rel(root, file)
			if entry.IsDir() {
				relative += "/"
			}
			files[name] = append(files[name], relative)
			return nil
		})
	}
	return files
}

func (vc *vCenter) sessions() sessionState {
	s := sessionState{SOAP: []string{}, REST: []string{}}
	for _, group := range vc.sessionGroups() {
		for range group.Count {
			if group.Protocol == "soap" {
				s.SOAP = append(s.SOAP, group.User)
			} else {
				s.REST = append(s.REST, group.User)
			}
		}
	}
	return s
}
