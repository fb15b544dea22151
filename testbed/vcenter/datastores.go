package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// refreshInterval is how often free space is announced. A vCenter does it "periodically", which is minutes.
const refreshInterval = 200 * time.Millisecond

// storage is a consistent copy of what a datastore says about itself.
type storage struct {
	ref         types.ManagedObjectReference
	name        string
	capacity    int64
	free        int64
	accessible  bool
	maintenance string
	hosts       map[types.ManagedObjectReference]bool // that mount it
}

func (vc *vCenter) storage(ref types.ManagedObjectReference) (storage, bool) {
	ds, ok := vc.registry().Get(ref).(*simulator.Datastore)
	if !ok {
		return storage{}, false
	}
	s := storage{ref: ref, hosts: map[types.ManagedObjectReference]bool{}}
	vc.newContext().WithLock(ds, func() {
		s.name, s.capacity, s.free = ds.Name, ds.Summary.Capacity, ds.Summary.FreeSpace
		s.accessible, s.maintenance = ds.Summary.Accessible, ds.Summary.MaintenanceMode
		for _, mount := range ds.Host {
			s.hosts[mount.Key] = true
		}
	})
	return s, true
}

// usable returns why nothing new can be placed on a datastore, or nil.
func (s storage) usable() types.BaseMethodFault {
	if !s.accessible {
		return &types.InaccessibleDatastore{InvalidDatastore: types.InvalidDatastore{Datastore: &s.ref, Name: s.name}}
	}
	if s.maintenance != string(types.DatastoreSummaryMaintenanceModeStateNormal) {
		return &types.InvalidDatastoreState{DatastoreName: s.name}
	}
	return nil
}

// mountedBy returns those of some hosts that mount a datastore.
func (s storage) mountedBy(hosts []types.ManagedObjectReference) []types.ManagedObjectReference {
	return slices.DeleteFunc(slices.Clone(hosts), func(host types.ManagedObjectReference) bool { return !s.hosts[host] })
}

// checkDatastore refuses a clone onto a datastore that takes no new VMs, or that no host of its pool mounts.
func (vc *vCenter) checkDatastore(location *types.VirtualMachineRelocateSpec) types.BaseMethodFault {
	if location.Datastore == nil {
		return nil
	}
	s, ok := vc.storage(*location.Datastore)
	if !ok {
		return &types.InvalidArgument{InvalidProperty: "spec.location.datastore"}
	}
	if fault := s.usable(); fault != nil {
		return fault
	}
	hosts := vc.targetHosts(location.Pool, location.Host)
	if len(hosts) > 0 && len(s.mountedBy(hosts)) == 0 {
		return &types.InvalidDatastore{Datastore: &s.ref, Name: s.name}
	}
	return nil
}

// targetHosts are those that a VM could run on: the one that was named, else all of the pool's.
func (vc *vCenter) targetHosts(pool, host *types.ManagedObjectReference) []types.ManagedObjectReference {
	if host != nil {
		return []types.ManagedObjectReference{*host}
	}
	if pool == nil {
		return nil
	}
	owner, ok := vc.registry().Get(*pool).(*simulator.ResourcePool)
	if !ok {
		return nil
	}
	return vc.hostsOf(owner.Owner)
}

func (vc *vCenter) hostsOf(compute types.ManagedObjectReference) []types.ManagedObjectReference {
	var hosts []types.ManagedObjectReference
	object := vc.registry().Get(compute)
	vc.newContext().WithLock(object, func() {
		switch owner := object.(type) {
		case *simulator.ClusterComputeResource:
			hosts = slices.Clone(owner.Host)
		case *mo.ComputeResource:
			hosts = slices.Clone(owner.Host)
		}
	})
	return hosts
}

// refreshStorage announces what clones and deletions did to free space, which the simulator changes silently.
func (vc *vCenter) refreshStorage(stop <-chan struct{}) {
	told := map[types.ManagedObjectReference]int64{}
	for {
		select {
		case <-stop:
			return
		case <-time.After(refreshInterval):
		}
		for _, entity := range vc.registry().All("Datastore") {
			s, ok := vc.storage(entity.Reference())
			before, known := told[s.ref]
			told[s.ref] = s.free
			if !ok || !known || before == s.free {
				continue
			}
			vc.registry().AtomicUpdate(vc.newContext(), entity,
				[]types.PropertyChange{{Name: "summary.freeSpace", Val: s.free}})
		}
		vc.sumUpPods()
	}
}

// datastoreChange is the body of POST /datastores; what is left out stays.
type datastoreChange struct {
	Name            string   `json:"name"`
	CapacityGB      *float64 `json:"capacityGB"`
	FreeGB          *float64 `json:"freeGB"`
	Accessible      *bool    `json:"accessible"`
	MaintenanceMode *string  `json:"maintenanceMode"`
	MountedBy       []string `json:"mountedBy"` // names of hosts and compute clusters
}

var maintenanceModes = []string{"normal", "enteringMaintenance", "inMaintenance"}

func (vc *vCenter) changeDatastore(change datastoreChange) error {
	ds, ok := vc.byName("Datastore")[change.Name].(*simulator.Datastore)
	if !ok {
		return fmt.Errorf("no datastore is named %q", change.Name)
	}
	if change.MaintenanceMode != nil && !slices.Contains(maintenanceModes, *change.MaintenanceMode) {
		return fmt.Errorf("maintenanceMode must be one of %v", maintenanceModes)
	}
	mounts, err := vc.hostsNamed(change.MountedBy)
	if err != nil {
		return err
	}
	vc.registry().AtomicUpdate(vc.newContext(), ds, change.properties())
	if change.MountedBy != nil {
		vc.mount(ds, mounts)
	}
	if change.Accessible != nil {
		vc.setMountsAccessible(ds, *change.Accessible)
	}
	vc.sumUpPods()
	return nil
}

func (c datastoreChange) properties() []types.PropertyChange {
	var changes []types.PropertyChange
	set := func(name string, value any) { changes = append(changes, types.PropertyChange{Name: name, Val: value}) }
	if c.CapacityGB != nil {
		set("summary.capacity", int64(*c.CapacityGB*(1<<30)))
	}
	if c.FreeGB != nil {
		set("summary.freeSpace", int64(*c.FreeGB*(1<<30)))
	}
	if c.Accessible != nil {
		set("summary.accessible", *c.Accessible)
	}
	if c.MaintenanceMode != nil {
		set("summary.maintenanceMode", *c.MaintenanceMode)
	}
	return changes
}

// hostsNamed takes names of hosts, and of compute clusters for all of their hosts.
func (vc *vCenter) hostsNamed(names []string) (map[types.ManagedObjectReference]bool, error) {
	hosts, clusters := vc.byName("HostSystem"), vc.byName("ClusterComputeResource")
	found := map[types.ManagedObjectReference]bool{}
	for _, name := range names {
		if host, ok := hosts[name]; ok {
			found[host.Reference()] = true
		} else if cluster, ok := clusters[name]; ok {
			for _, host := range vc.hostsOf(cluster.Reference()) {
				found[host] = true
			}
		} else {
			return nil, fmt.Errorf("no host or compute cluster is named %q", name)
		}
	}
	return found, nil
}

// mount lets exactly these hosts see a datastore, and their compute resources with them.
func (vc *vCenter) mount(ds *simulator.Datastore, hosts map[types.ManagedObjectReference]bool) {
	var mounts []types.DatastoreHostMount
	computes := map[types.ManagedObjectReference]bool{}
	for _, entity := range vc.registry().All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		vc.setListed(host, &host.Datastore, ds.Self, hosts[host.Self])
		computes[*host.Parent] = computes[*host.Parent] || hosts[host.Self]
		if hosts[host.Self] {
			mounts = append(mounts, types.DatastoreHostMount{Key: host.Self, MountInfo: types.HostMountInfo{
				AccessMode: string(types.HostMountModeReadWrite),
				Mounted:    types.NewBool(true), Accessible: types.NewBool(true)}})
		}
	}
	for ref, sees := range computes {
		switch compute := vc.registry().Get(ref).(type) {
		case *simulator.ClusterComputeResource:
			vc.setListed(compute, &compute.Datastore, ds.Self, sees)
		case *mo.ComputeResource:
			vc.setListed(compute, &compute.Datastore, ds.Self, sees)
		}
	}
	vc.newContext().AutoUpdate(ds, func() {
		ds.Host = mounts
		ds.Summary.MultipleHostAccess = types.NewBool(len(mounts) > 1)
	})
}

func (vc *vCenter) setListed(
	owner mo.Reference, list *[]types.ManagedObjectReference, ref types.ManagedObjectReference, listed bool,
) {
	ctx := vc.newContext()
	ctx.WithLock(owner, func() {
		if listed {
			vc.registry().AddReference(ctx, owner, list, ref)
		} else {
			vc.registry().RemoveReference(ctx, owner, list, ref)
		}
	})
}

func (vc *vCenter) setMountsAccessible(ds *simulator.Datastore, accessible bool) {
	var mounts []types.DatastoreHostMount
	vc.newContext().WithLock(ds, func() { mounts = slices.Clone(ds.Host) })
	for i := range mounts {
		mounts[i].MountInfo.Accessible = types.NewBool(accessible)
	}
	vc.newContext().AutoUpdate(ds, func() { ds.Host = mounts })
}
