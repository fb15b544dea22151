package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/units"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	version           = "8.0.3"
	apiVersion        = "8.0.3.0"
	build             = "24322831"
	userClusterFolder = "kubernetes"
)

// createInventory builds govmomi's VPX model, then what a user of the operator expects to find beside it: a folder
// for user clusters, templates, and datastore clusters with datastores in them.
func (vc *vCenter) createInventory() error {
	model := simulator.VPX()
	model.Cluster = vc.opts.clusters
	model.ClusterHost = vc.opts.hosts
	model.Machine = 0 // see createWorkloads
	model.Datastore = vc.opts.datastores
	model.Pod = vc.opts.pods
	describe(&model.ServiceContent.About)
	vc.model = model
	if err := model.Create(); err != nil {
		return err
	}
	vc.service = model.Service
	ctx := context.Background()
	client, err := vim25.NewClient(ctx, vc.service)
	if err != nil {
		return err
	}
	vc.client = client
	root := &collector{vc: vc}
	root.Self = client.ServiceContent.PropertyCollector
	vc.registry().Put(root)
	if err := vc.createWorkloads(ctx); err != nil {
		return fmt.Errorf("virtual machines: %w", err)
	}
	for _, entity := range vc.registry().All("VirtualMachine") {
		completeRuntime(entity.(*simulator.VirtualMachine))
	}
	vc.guests = newGuests(vc)
	vc.registry().AddHandler(vc.guests)
	vc.registry().AddHandler(vc.finished)
	go vc.forgetTasks()
	vc.sizeDatastores()
	if err := vc.fillPods(ctx); err != nil {
		return fmt.Errorf("datastore clusters: %w", err)
	}
	folders, err := vc.folders(ctx)
	if err != nil {
		return err
	}
	if _, err := folders.VmFolder.CreateFolder(ctx, userClusterFolder); err != nil {
		return err
	}
	if err := vc.createTemplates(ctx, folders.VmFolder); err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	return nil
}

// describe makes the simulator's about say what a vCenter 8.0 U3 says; InstanceUuid tells two doubles apart.
func describe(about *types.AboutInfo) {
	about.FullName = "VMware vCenter Server " + version + " build-" + build
	about.Version = version
	about.Build = build
	about.ApiVersion = apiVersion
	about.LicenseProductVersion = "8.0"
	about.InstanceUuid = uuid.NewString()
}

func (vc *vCenter) folders(ctx context.Context) (*object.DatacenterFolders, error) {
	datacenter := vc.registry().Any("Datacenter")
	return object.NewDatacenter(vc.client, datacenter.Reference()).Folders(ctx)
}

// sizeDatastores gives each datastore a capacity of its own, less what its disks take: the simulator counts the
// hosts that mount it, one TB each.
func (vc *vCenter) sizeDatastores() {
	ctx := vc.newContext()
	for _, entity := range vc.registry().All("Datastore") {
		datastore := entity.(*simulator.Datastore)
		ctx.AutoUpdate(datastore, func() {
			used := datastore.Summary.Capacity - datastore.Summary.FreeSpace
			capacity := int64(vc.opts.datastoreGB) * units.GB
			datastore.Summary.Capacity = capacity * (1 + 2*used/capacity) // never more than half full
			datastore.Summary.FreeSpace = datastore.Summary.Capacity - used
			datastore.Summary.MultipleHostAccess = types.NewBool(true)
			datastore.Summary.Type = string(types.HostFileSystemVolumeFileSystemTypeVMFS)
			datastore.Info.GetDatastoreInfo().FreeSpace = datastore.Summary.FreeSpace
		})
	}
}

// fillPods spreads all datastores but the first over the datastore clusters.
func (vc *vCenter) fillPods(ctx context.Context) error {
	if vc.opts.pods == 0 {
		return nil
	}
	pods := vc.byName("StoragePod")
	datastores := vc.byName("Datastore")
	for i := 1; i < vc.opts.datastores; i++ {
		pod := pods[fmt.Sprintf("DC0_POD%d", (i-1)%vc.opts.pods)]
		datastore := datastores[fmt.Sprintf("LocalDS_%d", i)]
		task, err := object.NewFolder(vc.client, pod.Reference()).
			MoveInto(ctx, []types.ManagedObjectReference{datastore.Reference()})
		if err != nil {
			return err
		}
		if err := task.Wait(ctx); err != nil {
			return err
		}
	}
	vc.describePods()
	for _, pod := range pods {
		config := &pod.(*simulator.StoragePod).PodStorageDrsEntry.StorageDrsConfig.PodConfig
		config.DefaultVmBehavior = string(types.StorageDrsPodConfigInfoBehaviorAutomated)
	}
	return nil
}

func (vc *vCenter) byName(kind string) map[string]mo.Entity {
	found := map[string]mo.Entity{}
	for _, entity := range vc.registry().All(kind) {
		found[entity.Entity().Name] = entity
	}
	return found
}

// read fetches properties the way a client does, so that they are copies and consistent.
func (vc *vCenter) read(ref types.ManagedObjectReference, paths []string, into any) error {
	return property.DefaultCollector(vc.client).RetrieveOne(context.Background(), ref, paths, into)
}
