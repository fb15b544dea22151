package main

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/units"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// template is what an imported OVA leaves behind, as far as a user of it can tell.
type template struct {
	name      string
	guestID   string
	diskGB    int64
	cdrom     bool
	transport string
	product   types.VAppProductInfo
	vapp      []types.VAppPropertyInfo
}

// templates are two good ones, after the OVAs that Ubuntu and Flatcar publish, and two that miss a device.
var templates = []template{
	{name: "ubuntu-22.04", guestID: "ubuntu64Guest", diskGB: 10, cdrom: true, transport: "iso",
		product: ubuntuProduct, vapp: ubuntuProperties},
	{name: "flatcar-stable", guestID: "other4xLinux64Guest", diskGB: 9, transport: "com.vmware.guestInfo",
		product: flatcarProduct, vapp: flatcarProperties},
	{name: "no-cdrom", guestID: "ubuntu64Guest", diskGB: 10, transport: "iso",
		product: ubuntuProduct, vapp: ubuntuProperties},
	{name: "no-disk", guestID: "ubuntu64Guest", cdrom: true, transport: "iso",
		product: ubuntuProduct, vapp: ubuntuProperties},
}

var ubuntuProduct = types.VAppProductInfo{Name: "Ubuntu 22.04 Server", Version: "22.04", Vendor: "Canonical"}

var ubuntuProperties = []types.VAppPropertyInfo{
	{Id: "instance-id", Label: "A Unique Instance ID for this instance", DefaultValue: "id-ovf"},
	{Id: "hostname", Label: "hostname", DefaultValue: "ubuntuguest"},
	{Id: "seedfrom", Label: "Url to seed instance data from"},
	{Id: "public-keys", Label: "ssh public keys"},
	{Id: "user-data", Label: "Encoded user-data"},
	{Id: "password", Label: "Default User's password"},
}

var flatcarProduct = types.VAppProductInfo{Name: "Flatcar Container Linux by Kinvolk", Version: "stable",
	Vendor: "Flatcar"}

var flatcarProperties = []types.VAppPropertyInfo{
	{Id: "guestinfo.hostname", Label: "Hostname"},
	{Id: "guestinfo.ignition.config.data", Label: "Inline Ignition config data"},
	{Id: "guestinfo.ignition.config.url", Label: "URL to Ignition config"},
	{Id: "guestinfo.ignition.config.data.encoding", Label: "Encoding for Ignition config data"},
	{Id: "guestinfo.interface.0.name", Label: "Network Interface"},
	{Id: "guestinfo.interface.0.dhcp", Label: "DHCP support for network interface", DefaultValue: "no"},
	{Id: "guestinfo.dns.server.0", Label: "Primary DNS"},
}

func (vc *vCenter) createTemplates(ctx context.Context, folder *object.Folder) error {
	cluster := vc.byName("ClusterComputeResource")["DC0_C0"].(*simulator.ClusterComputeResource)
	pool := object.NewResourcePool(vc.client, *cluster.ResourcePool)
	for _, t := range templates {
		task, err := folder.CreateVM(ctx, t.spec(), pool, nil)
		if err != nil {
			return err
		}
		info, err := task.WaitForResult(ctx)
		if err != nil {
			return err
		}
		vm := vc.registry().Get(info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
		vc.finishTemplate(vm, t)
	}
	return nil
}

// Device keys as vCenter numbers them.
const (
	pciController  = 100
	ideController1 = 201
	scsiController = 1000
	firstDisk      = 2000
	firstCdrom     = 3002
	firstNIC       = 4000
)

// spec has the devices of the OVA: a plain pvscsi machine, as both distributions ship it.
func (t template) spec() types.VirtualMachineConfigSpec {
	var devices object.VirtualDeviceList
	scsi, _ := devices.CreateSCSIController("pvscsi")
	scsi.GetVirtualDevice().Key = scsiController
	devices = append(devices, scsi)
	if t.diskGB > 0 {
		disk := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{},
			"[LocalDS_0] "+t.name+"/disk-0.vmdk")
		disk.Key = firstDisk
		disk.CapacityInKB = t.diskGB * units.GB / units.KB
		disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ThinProvisioned = types.NewBool(true)
		devices = append(devices, disk)
	}
	if t.cdrom {
		devices = append(devices, &types.VirtualCdrom{VirtualDevice: types.VirtualDevice{
			Key: firstCdrom, ControllerKey: ideController1, UnitNumber: types.NewInt32(0),
			Backing:     &types.VirtualCdromRemotePassthroughBackingInfo{},
			Connectable: &types.VirtualDeviceConnectInfo{AllowGuestControl: true},
		}})
	}
	nic, _ := object.EthernetCardTypes().CreateEthernetCard("vmxnet3",
		&types.VirtualEthernetCardNetworkBackingInfo{
			VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "VM Network"}})
	nic.GetVirtualDevice().Key = firstNIC
	nic.GetVirtualDevice().ControllerKey = pciController
	devices = append(devices, nic)
	changes, _ := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	return types.VirtualMachineConfigSpec{
		Name:         t.name,
		GuestId:      t.guestID,
		Version:      "vmx-17",
		NumCPUs:      2,
		MemoryMB:     1024,
		Annotation:   t.product.Name,
		Files:        &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		DeviceChange: changes,
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "nvram", Value: t.name + ".nvram"},
			&types.OptionValue{Key: "pciBridge0.present", Value: "TRUE"},
			&types.OptionValue{Key: "svga.present", Value: "TRUE"},
			&types.OptionValue{Key: "disk.EnableUUID", Value: "FALSE"},
			&types.OptionValue{Key: "viv.moid", Value: "double"},
		},
	}
}

// finishTemplate sets what CreateVM_Task of the simulator has no way to set, and marks the VM as a template.
func (vc *vCenter) finishTemplate(vm *simulator.VirtualMachine, t template) {
	ctx := vc.newContext()
	ctx.AutoUpdate(vm, func() {
		info := &types.VmConfigInfo{
			OvfEnvironmentTransport: []string{t.transport},
			InstallBootRequired:     false,
			Product:                 []types.VAppProductInfo{t.product},
		}
		for i, property := range t.vapp {
			property.Key = int32(i)
			property.Type = "string"
			property.UserConfigurable = types.NewBool(true)
			info.Property = append(info.Property, property)
		}
		vm.Config.VAppConfig = info
		vm.Config.Annotation = t.product.Name
		vm.Summary.Config.Annotation = t.product.Name
		vm.Config.Flags.DiskUuidEnabled = types.NewBool(false)
		setTools(vm, toolsDown)
	})
	vc.markAsTemplate(ctx, vm)
}

// markAsTemplate makes a template of a VM. A template is in no resource pool; the simulator leaves it in the list of
// the one that it was in, also when it is destroyed later.
func (vc *vCenter) markAsTemplate(ctx *simulator.Context, vm *simulator.VirtualMachine) soap.HasFault {
	return vc.relisted(ctx, vm, func() soap.HasFault { return vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self}) })
}

// relisted carries out what changes which lists a VM is in, and tells of it.
func (vc *vCenter) relisted(
	ctx *simulator.Context, vm *simulator.VirtualMachine, change func() soap.HasFault,
) (answer soap.HasFault) {
	vc.listVM(ctx, vm, false)
	ctx.WithLock(vm, func() { answer = change() })
	vc.listVM(ctx, vm, true)
	vc.registry().AtomicUpdate(ctx, vm, []types.PropertyChange{{Name: "config.changeVersion", Val: changeVersion()}})
	return answer
}

// MarkAsTemplate takes the VM out of its resource pool.
func (vm *virtualMachine) MarkAsTemplate(ctx *simulator.Context, _ *types.MarkAsTemplate) soap.HasFault {
	return vm.vc.markAsTemplate(ctx, vm.VirtualMachine)
}

// MarkAsVirtualMachine puts it into one.
func (vm *virtualMachine) MarkAsVirtualMachine(
	ctx *simulator.Context, req *types.MarkAsVirtualMachine,
) soap.HasFault {
	if missing := vm.vc.firstMissing(&req.Pool, req.Host); missing != nil {
		return &methods.MarkAsVirtualMachineBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: *missing})}
	}
	return vm.vc.relisted(ctx, vm.VirtualMachine, func() soap.HasFault { return vm.VirtualMachine.MarkAsVirtualMachine(req) })
}
