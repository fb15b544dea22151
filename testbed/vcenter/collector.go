package main

import (
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	gathering   = 20 * time.Millisecond // changes that come close together make one update
	mostObjects = 100                   // a vCenter's limit of objects in one update set
	endlessWait = 30 * time.Minute
)

// collector is a PropertyCollector whose updates are differences: it reads what may have changed again and reports
// what has. The simulator reads every object of every filter again for each change, tells of objects that were there
// before as if they had just come, and lets one session's collector push out another's.
type collector struct {
	simulator.PropertyCollector
	vc *vCenter

	reading sync.Mutex // one difference is computed at a time

	mu       sync.Mutex
	filters  []*filter
	listener *listener
	wake     chan struct{}
	cancels  int
	closed   bool

	version  int
	previous string // the version that `last` answered
	last     *types.UpdateSet
	pending  []types.PropertyFilterUpdate // what did not fit into the last answer
}

// filter is a PropertyFilter and what its client knows already.
type filter struct {
	mo.PropertyFilter
	collector *collector
	paths     map[string]bool // that select objects, such as "view"

	known    map[types.ManagedObjectReference]map[string]any // only touched while reading
	dirty    map[types.ManagedObjectReference]bool           // guarded by collector.mu, as is the next
	reselect bool
	reread   bool // everything that is known
}

// listener hears of every change; it only takes notes, as the object is locked by whoever changes it.
type listener struct {
	self      types.ManagedObjectReference
	collector *collector
}

func (l *listener) Reference() types.ManagedObjectReference { return l.self }

func (l *listener) PutObject(_ *simulator.Context, object mo.Reference) {
	if _, isTask := object.(*simulator.Task); !isTask { // a new task is in no view before somebody puts it there
		l.collector.note(object.Reference(), true)
	}
}

func (l *listener) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	l.collector.note(ref, ref.Type != "Task")
}

func (l *listener) UpdateObject(_ *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	l.collector.noteChanges(object.Reference(), changes)
}

func (c *collector) note(ref types.ManagedObjectReference, reselect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.filters {
		f.dirty[ref] = true
		f.reselect = f.reselect || reselect
	}
	c.signal()
}

func (c *collector) noteChanges(ref types.ManagedObjectReference, changes []types.PropertyChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.filters {
		f.dirty[ref] = true
		for i := range changes {
			f.reselect = f.reselect || f.paths[changes[i].Name]
		}
	}
	c.signal()
}

// signal wakes those who wait. The caller holds mu.
func (c *collector) signal() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// adopt completes a collector that the simulator made for a session.
func (c *collector) adopt(vc *vCenter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vc = vc
}

// CreatePropertyCollector makes a further collector in the session.
func (c *collector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	made := &collector{vc: c.vc}
	made.Self.Type = "PropertyCollector"
	ref := ctx.Session.Put(made).Reference()
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{Returnval: ref}}
}

// DestroyPropertyCollector ends its filters, and a wait in progress.
func (c *collector) DestroyPropertyCollector(ctx *simulator.Context, req *types.DestroyPropertyCollector) soap.HasFault {
	c.close(ctx)
	ctx.Session.Registry.Remove(ctx, req.This)
	return &methods.DestroyPropertyCollectorBody{Res: new(types.DestroyPropertyCollectorResponse)}
}

func (c *collector) close(ctx *simulator.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		ctx.Map.RemoveHandler(c.listener)
	}
	for _, f := range c.filters {
		ctx.Session.Registry.Remove(ctx, f.Self)
	}
	c.filters, c.listener, c.closed = nil, nil, true
	c.signal()
}

// CreateFilter only takes notes; objects are read when the client waits.
func (c *collector) CreateFilter(ctx *simulator.Context, req *types.CreateFilter) soap.HasFault {
	f := &filter{collector: c, paths: map[string]bool{}, dirty: map[types.ManagedObjectReference]bool{}, reselect: true}
	f.Self.Type = "PropertyFilter"
	f.Spec, f.PartialUpdates = req.Spec, req.PartialUpdates
	for _, set := range req.Spec.ObjectSet {
		f.addPaths(set.SelectSet)
	}
	ref := ctx.Session.Put(f).Reference()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filters = append(c.filters, f)
	c.Filter = append(c.Filter, ref)
	if c.listener == nil {
		c.listener = &listener{types.ManagedObjectReference{Type: "Listener", Value: ref.Value}, c}
		ctx.Map.AddHandler(c.listener)
	}
	c.signal()
	return &methods.CreateFilterBody{Res: &types.CreateFilterResponse{Returnval: ref}}
}

func (f *filter) addPaths(set []types.BaseSelectionSpec) {
	for _, spec := range set {
		if traversal, ok := spec.(*types.TraversalSpec); ok {
			f.paths[traversal.Path] = true
			f.addPaths(traversal.SelectSet)
		}
	}
}

// DestroyPropertyFilter may come while a wait is in progress.
func (f *filter) DestroyPropertyFilter(ctx *simulator.Context, req *types.DestroyPropertyFilter) soap.HasFault {
	c := f.collector
	c.mu.Lock()
	c.filters = slices.DeleteFunc(c.filters, func(other *filter) bool { return other == f })
	c.Filter = slices.DeleteFunc(c.Filter, func(ref types.ManagedObjectReference) bool { return ref == req.This })
	c.mu.Unlock()
	ctx.Session.Registry.Remove(ctx, req.This)
	return &methods.DestroyPropertyFilterBody{Res: new(types.DestroyPropertyFilterResponse)}
}

// CancelWaitForUpdates ends a wait in progress with RequestCanceled.
func (c *collector) CancelWaitForUpdates(_ *types.CancelWaitForUpdates) soap.HasFault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels++
	c.signal()
	return &methods.CancelWaitForUpdatesBody{Res: new(types.CancelWaitForUpdatesResponse)}
}

// WaitForUpdates is the old form without options.
func (c *collector) WaitForUpdates(ctx *simulator.Context, req *types.WaitForUpdates) soap.HasFault {
	body := new(methods.WaitForUpdatesBody)
	set, fault := c.wait(ctx, req.Version, nil)
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	body.Res = new(types.WaitForUpdatesResponse)
	if set != nil {
		body.Res.Returnval = *set
	}
	return body
}

// WaitForUpdatesEx answers at once when there is something to tell, else when there is or the time is over.
func (c *collector) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	body := new(methods.WaitForUpdatesExBody)
	set, fault := c.wait(ctx, req.Version, req.Options)
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	body.Res = &types.WaitForUpdatesExResponse{Returnval: set}
	return body
}

// CheckForUpdates answers at once.
func (c *collector) CheckForUpdates(ctx *simulator.Context, req *types.CheckForUpdates) soap.HasFault {
	body := new(methods.CheckForUpdatesBody)
	now := int32(0)
	set, fault := c.wait(ctx, req.Version, &types.WaitOptions{MaxWaitSeconds: &now})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	body.Res = &types.CheckForUpdatesResponse{Returnval: set}
	return body
}

func (c *collector) wait(
	ctx *simulator.Context, version string, options *types.WaitOptions,
) (*types.UpdateSet, types.BaseMethodFault) {
	limit, most := time.Duration(endlessWait), mostObjects
	if options != nil && options.MaxWaitSeconds != nil {
		limit = time.Duration(*options.MaxWaitSeconds) * time.Second
	}
	if options != nil && options.MaxObjectUpdates > 0 {
		most = min(most, int(options.MaxObjectUpdates))
	}
	c.mu.Lock()
	cancels := c.cancels
	c.mu.Unlock()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		woken, fault := c.nextWake(cancels)
		if fault != nil {
			return nil, fault
		}
		set, fault := c.update(ctx, version, most)
		if set != nil || fault != nil {
			return set, fault
		}
		if limit == 0 {
			return nil, nil
		}
		select {
		case <-timeout.C:
			return nil, nil
		case <-woken:
			time.Sleep(gathering)
		}
	}
}

// nextWake returns a channel that is closed at the next change. It is taken before looking for changes, so that
// none falls between.
func (c *collector) nextWake(cancels int) (<-chan struct{}, types.BaseMethodFault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, new(types.NotAuthenticated)
	}
	if c.cancels != cancels {
		return nil, new(types.RequestCanceled)
	}
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake, nil
}

// update returns what is new since a version, or nil. The version before the last is answered once more, for a
// client that has lost the answer; any other is refused.
func (c *collector) update(ctx *simulator.Context, version string, most int) (*types.UpdateSet, types.BaseMethodFault) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	filters := slices.Clone(c.filters)
	c.mu.Unlock()
	switch {
	case version == "":
		c.pending = nil
		for _, f := range filters {
			f.known = nil
		}
	case version == c.previous && c.last != nil:
		return c.last, nil
	case version != strconv.Itoa(c.version):
		return nil, new(types.InvalidCollectorVersion)
	}
	updates := c.pending
	if len(updates) == 0 {
		for _, f := range filters {
			if objects := f.difference(ctx); len(objects) > 0 {
				updates = append(updates, types.PropertyFilterUpdate{Filter: f.Self, ObjectSet: objects})
			}
		}
	}
	if len(updates) == 0 && version != "" {
		return nil, nil
	}
	set := &types.UpdateSet{}
	set.FilterSet, c.pending = page(updates, most)
	if len(c.pending) > 0 {
		set.Truncated = types.NewBool(true)
	}
	c.version++
	set.Version = strconv.Itoa(c.version)
	c.previous, c.last = version, set
	return set, nil
}

// page splits updates after a number of objects.
func page(updates []types.PropertyFilterUpdate, most int) (now, later []types.PropertyFilterUpdate) {
	for _, update := range updates {
		fits := min(len(update.ObjectSet), most)
		most -= fits
		if fits > 0 {
			now = append(now, types.PropertyFilterUpdate{Filter: update.Filter, ObjectSet: update.ObjectSet[:fits]})
		}
		if rest := update.ObjectSet[fits:]; len(rest) > 0 {
			later = append(later, types.PropertyFilterUpdate{Filter: update.Filter, ObjectSet: rest})
		}
	}
	return now, later
}

// difference reads what may have changed and returns what has.
func (f *filter) difference(ctx *simulator.Context) []types.ObjectUpdate {
	first := f.known == nil
	f.collector.mu.Lock()
	dirty, reselect, reread := f.dirty, f.reselect || first, f.reread
	f.dirty, f.reselect, f.reread = map[types.ManagedObjectReference]bool{}, false, false
	f.collector.mu.Unlock()
	if reread {
		for ref := range f.known {
			dirty[ref] = true
		}
	}
	if first {
		f.known = map[types.ManagedObjectReference]map[string]any{}
	}
	var updates []types.ObjectUpdate
	var read []types.ManagedObjectReference
	if reselect {
		selected := f.selected(ctx)
		updates = f.leaving(selected)
		for _, ref := range selected {
			if _, known := f.known[ref]; !known {
				read = append(read, ref)
			}
		}
	}
	for ref := range dirty {
		if _, known := f.known[ref]; !known {
			continue
		}
		if ref.Type == "Task" && ctx.Map.Get(ref) == nil { // its removal is no reason to select all again
			delete(f.known, ref)
			updates = append(updates, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
			continue
		}
		read = append(read, ref)
	}
	return append(updates, f.changes(f.collector.read(ctx, f.Spec.PropSet, read))...)
}

// leaving drops what is selected no longer.
func (f *filter) leaving(selected []types.ManagedObjectReference) []types.ObjectUpdate {
	stays := map[types.ManagedObjectReference]bool{}
	for _, ref := range selected {
		stays[ref] = true
	}
	var updates []types.ObjectUpdate
	for ref := range f.known {
		if !stays[ref] {
			delete(f.known, ref)
			updates = append(updates, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
		}
	}
	return updates
}

// selected returns the objects of the filter, in order, each once, without their properties.
func (f *filter) selected(ctx *simulator.Context) []types.ManagedObjectReference {
	spec := f.Spec
	spec.PropSet = nil
	for _, properties := range f.Spec.PropSet {
		spec.PropSet = append(spec.PropSet, types.PropertySpec{Type: properties.Type})
	}
	spec.ReportMissingObjectsInResults = types.NewBool(true)
	var refs []types.ManagedObjectReference
	for _, content := range f.collector.collect(ctx, spec) {
		refs = append(refs, content.Obj)
	}
	return refs
}

func (c *collector) read(
	ctx *simulator.Context, properties []types.PropertySpec, refs []types.ManagedObjectReference,
) []types.ObjectContent {
	if len(refs) == 0 {
		return nil
	}
	spec := types.PropertyFilterSpec{PropSet: properties, ReportMissingObjectsInResults: types.NewBool(true)}
	for _, ref := range refs {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: ref})
	}
	return c.collect(ctx, spec)
}

func (c *collector) collect(ctx *simulator.Context, spec types.PropertyFilterSpec) []types.ObjectContent {
	answer := c.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{
		This: c.Self, SpecSet: []types.PropertyFilterSpec{spec}})
	body, ok := answer.(*methods.RetrievePropertiesExBody)
	if !ok || body.Res == nil || body.Res.Returnval == nil {
		return nil // a view that was destroyed meanwhile selects nothing
	}
	return body.Res.Returnval.Objects
}

// changes compares what was read with what the client knows.
func (f *filter) changes(contents []types.ObjectContent) []types.ObjectUpdate {
	var updates []types.ObjectUpdate
	for _, content := range contents {
		before, known := f.known[content.Obj]
		now := map[string]any{}
		update := types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: content.Obj}
		if !known {
			update.Kind, update.MissingSet = types.ObjectUpdateKindEnter, content.MissingSet
		}
		for _, property := range content.PropSet {
			now[property.Name] = property.Val
			if old, was := before[property.Name]; !was || !reflect.DeepEqual(old, property.Val) {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{
					Name: property.Name, Op: types.PropertyChangeOpAssign, Val: property.Val})
			}
		}
		for name := range before {
			if _, still := now[name]; !still {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{
					Name: name, Op: types.PropertyChangeOpAssign})
			}
		}
		f.known[content.Obj] = now
		if !known || len(update.ChangeSet) > 0 {
			updates = append(updates, update)
		}
	}
	return updates
}
