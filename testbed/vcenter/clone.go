package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const longestName = 80

// CloneVMTask clones with what the simulator loses: the source's annotation, flags, vApp configuration and
// extraConfig, fresh UUIDs and MAC addresses, and the time that it takes.
func (vm *virtualMachine) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	body := new(methods.CloneVM_TaskBody)
	if missing := vm.vc.firstMissing(&req.Folder, req.Spec.Location.Pool, req.Spec.Location.Datastore,
		req.Spec.Location.Host); missing != nil {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: *missing})
		return body
	}
	if req.Name == "" || len(req.Name) > longestName {
		body.Fault_ = simulator.Fault("", &types.InvalidName{Name: req.Name})
		return body
	}
	clone := &cloning{vc: vm.vc, source: vm.VirtualMachine, req: req}
	body.Res = &types.CloneVM_TaskResponse{
		Returnval: vm.vc.runTask(ctx, vm, "CloneVM_Task", "VirtualMachine.clone", clone.run)}
	return body
}

func (vc *vCenter) firstMissing(refs ...*types.ManagedObjectReference) *types.ManagedObjectReference {
	for _, ref := range refs {
		if ref != nil && vc.registry().Get(*ref) == nil {
			return ref
		}
	}
	return nil
}

// cloning is one clone on its way.
type cloning struct {
	vc     *vCenter
	source *simulator.VirtualMachine
	req    *types.CloneVM_Task
}

func (c *cloning) run(ctx *simulator.Context, task *simulator.Task) (types.AnyType, types.BaseMethodFault) {
	if fault := c.check(ctx); fault != nil {
		return nil, fault
	}
	making := c.vc.incomplete.begin(place{c.req.Folder, c.req.Name}, task.Self)
	ref, fault := c.begin(ctx, making)
	if fault == nil {
		if fault = c.finish(task); fault != nil {
			c.discard(ctx, ref)
		}
	}
	making.complete()
	if fault != nil {
		return nil, fault
	}
	c.vc.touch(ref)
	if c.req.Spec.PowerOn && !c.req.Spec.Template {
		if fault := c.powerOn(ctx, ref); fault != nil {
			return nil, fault
		}
	}
	return ref, nil
}

// begin makes the VM, unless somebody else was faster to take its name.
func (c *cloning) begin(ctx *simulator.Context, making *making) (types.ManagedObjectReference, types.BaseMethodFault) {
	if fault := c.checkName(ctx); fault != nil {
		return types.ManagedObjectReference{}, fault
	}
	ref, fault := c.create(ctx)
	if fault == nil {
		making.made(ref)
	}
	return ref, fault
}

// finish takes the time that copying disks takes.
func (c *cloning) finish(task *simulator.Task) types.BaseMethodFault {
	if !c.vc.takeTime(task, "CloneVM_Task") {
		return new(types.RequestCanceled)
	}
	if c.vc.registry().Get(c.source.Self) == nil {
		return &types.ManagedObjectNotFound{Obj: c.source.Self}
	}
	return nil
}

// discard removes what a clone that failed has made so far.
func (c *cloning) discard(ctx *simulator.Context, ref types.ManagedObjectReference) {
	if vm, ok := c.vc.registry().Get(ref).(*simulator.VirtualMachine); ok {
		_ = c.vc.removeVM(detached(ctx), vm)
	}
}

func (c *cloning) check(ctx *simulator.Context) types.BaseMethodFault {
	location := &c.req.Spec.Location
	if location.Pool == nil && c.source.Config.Template && !c.req.Spec.Template {
		return &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	}
	if c.req.Spec.Snapshot == nil && location.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking) {
		return &types.InvalidArgument{InvalidProperty: "spec.snapshot"}
	}
	if fault := c.vc.badPolicy(location); fault != nil {
		return fault
	}
	if fault := c.vc.checkDatastore(location); fault != nil {
		return fault
	}
	if host, ok := c.vc.host(location.Host); ok {
		if fault := c.vc.unreachable(host); fault != nil {
			return fault
		}
	} else if location.Pool != nil && len(c.vc.usable(c.vc.targetHosts(location.Pool, nil))) == 0 {
		return &types.NoActiveHostInCluster{ComputeResource: c.vc.ownerOf(*location.Pool)}
	}
	return c.checkSpace(ctx)
}

func (c *cloning) checkName(ctx *simulator.Context) types.BaseMethodFault {
	parent := c.vc.registry().Get(c.req.Folder)
	var children []types.ManagedObjectReference
	ctx.WithLock(parent, func() {
		if f, ok := parent.(*simulator.Folder); ok {
			children = slices.Clone(f.ChildEntity)
		}
	})
	if taken := c.vc.registry().FindByName(c.req.Name, children); taken != nil {
		return &types.DuplicateName{Name: c.req.Name, Object: taken.Reference()}
	}
	return nil
}

// checkSpace refuses what cannot fit; the simulator would let the free space go below zero.
func (c *cloning) checkSpace(ctx *simulator.Context) types.BaseMethodFault {
	target := c.req.Spec.Location.Datastore
	if target == nil {
		target = &c.source.Datastore[0]
	}
	ds, ok := c.vc.registry().Get(*target).(*simulator.Datastore)
	if !ok {
		return &types.InvalidArgument{InvalidProperty: "spec.location.datastore"}
	}
	var needed, free int64
	ctx.WithLock(c.source, func() {
		for _, device := range c.source.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				needed += disk.CapacityInBytes
			}
		}
	})
	ctx.WithLock(ds, func() { free = ds.Summary.FreeSpace })
	if needed > free {
		return &types.NoDiskSpace{FileFault: types.FileFault{File: "[" + ds.Name + "]"}, Datastore: ds.Name}
	}
	return nil
}

// create makes the VM, gives it what it inherits, and reconfigures it; a failure leaves nothing behind.
func (c *cloning) create(ctx *simulator.Context) (types.ManagedObjectReference, types.BaseMethodFault) {
	result, fault := c.vc.await(c.source.CloneVMTask(detached(ctx), c.bareRequest()).(*methods.CloneVM_TaskBody).Res.Returnval)
	if fault != nil {
		return types.ManagedObjectReference{}, fault
	}
	ref := result.(types.ManagedObjectReference)
	clone := c.vc.registry().Get(ref).(*simulator.VirtualMachine)
	c.inherit(detached(ctx), clone)
	if fault := c.reconfigure(ctx, clone); fault != nil {
		c.discard(ctx, ref)
		return types.ManagedObjectReference{}, fault
	}
	c.vc.assignAddresses(detached(ctx), clone)
	c.vc.associate(ref, &c.req.Spec.Location)
	if c.req.Spec.Template {
		c.vc.markAsTemplate(detached(ctx), clone)
	}
	return ref, nil
}

// bareRequest is the request with what the simulator does well: placement, identity, hardware numbers.
func (c *cloning) bareRequest() *types.CloneVM_Task {
	req := *c.req
	req.Spec.PowerOn = false
	req.Spec.Template = false
	wanted := types.VirtualMachineConfigSpec{}
	if c.req.Spec.Config != nil {
		wanted = *c.req.Spec.Config
	}
	spec := &types.VirtualMachineConfigSpec{
		Uuid: wanted.Uuid, InstanceUuid: wanted.InstanceUuid, NumCPUs: wanted.NumCPUs, MemoryMB: wanted.MemoryMB,
		ExtraConfig: wanted.ExtraConfig,
	}
	if spec.Uuid == "" {
		spec.Uuid = uuid.NewString()
	}
	if spec.InstanceUuid == "" || c.vc.instanceUUIDTaken(spec.InstanceUuid, nil) {
		spec.InstanceUuid = uuid.NewString()
	}
	req.Spec.Config = spec
	if req.Spec.Location.Host == nil && req.Spec.Location.Pool != nil {
		req.Spec.Location.Host = c.vc.hostOf(*req.Spec.Location.Pool, req.Spec.Location.Datastore)
	}
	return &req
}

// instanceUUIDTaken says whether another VM has it.
func (vc *vCenter) instanceUUIDTaken(id string, but *simulator.VirtualMachine) bool {
	return slices.ContainsFunc(vc.registry().All("VirtualMachine"), func(entity mo.Entity) bool {
		vm := entity.(*simulator.VirtualMachine)
		if vm == but {
			return false
		}
		taken := false
		vc.newContext().WithLock(vm, func() { taken = vm.Config != nil && strings.EqualFold(vm.Config.InstanceUuid, id) })
		return taken
	})
}

// hostOf picks a host that runs VMs of a pool and mounts the datastore: the simulator takes the template's, whatever
// the pool.
func (vc *vCenter) hostOf(pool types.ManagedObjectReference, datastore *types.ManagedObjectReference) *types.ManagedObjectReference {
	hosts := vc.usable(vc.targetHosts(&pool, nil))
	if datastore != nil {
		if s, ok := vc.storage(*datastore); ok {
			hosts = s.mountedBy(hosts)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	return &hosts[rand.IntN(len(hosts))]
}

func (vc *vCenter) ownerOf(pool types.ManagedObjectReference) types.ManagedObjectReference {
	if owner, ok := vc.registry().Get(pool).(*simulator.ResourcePool); ok {
		return owner.Owner
	}
	return types.ManagedObjectReference{}
}

// inherit copies what a real clone takes over from its source.
func (c *cloning) inherit(ctx *simulator.Context, clone *simulator.VirtualMachine) {
	var source mo.VirtualMachine
	paths := []string{"config.annotation", "config.flags", "config.vAppConfig", "config.extraConfig",
		"config.firmware", "config.bootOptions", "config.tools", "config.cpuHotAddEnabled", "config.memoryHotAddEnabled"}
	if err := c.vc.read(c.source.Self, paths, &source); err != nil || source.Config == nil {
		return // the source went away meanwhile; the clone stays as it is
	}
	from := source.Config
	ctx.AutoUpdate(clone, func() {
		clone.Config.Annotation = from.Annotation
		clone.Config.Flags = from.Flags
		clone.Config.Firmware = from.Firmware
		clone.Config.BootOptions = from.BootOptions
		clone.Config.VAppConfig = from.VAppConfig
		clone.Config.CpuHotAddEnabled = from.CpuHotAddEnabled
		clone.Config.MemoryHotAddEnabled = from.MemoryHotAddEnabled
		clone.Config.ExtraConfig = merge(from.ExtraConfig, clone.Config.ExtraConfig, c.req.Name)
		setTools(clone, toolsDown)
	})
}

// merge puts the clone's own options over the source's; those that name the VM's files are the clone's.
func merge(source, own []types.BaseOptionValue, name string) []types.BaseOptionValue {
	merged := slices.DeleteFunc(slices.Clone(own), func(option types.BaseOptionValue) bool {
		return option.GetOptionValue().Key == "govcsim" // the simulator's own mark
	})
	taken := map[string]bool{}
	for _, option := range own {
		taken[option.GetOptionValue().Key] = true
	}
	for _, option := range source {
		value := *option.GetOptionValue()
		if value.Key == "nvram" {
			value.Value = name + ".nvram"
		}
		if !taken[value.Key] && value.Key != "govcsim" {
			merged = append(merged, &value)
		}
	}
	return merged
}

// reconfigure applies the clone's own configuration with all its checks.
func (c *cloning) reconfigure(ctx *simulator.Context, clone *simulator.VirtualMachine) types.BaseMethodFault {
	spec := types.VirtualMachineConfigSpec{}
	if c.req.Spec.Config != nil {
		spec = *c.req.Spec.Config
	}
	spec.Uuid, spec.InstanceUuid, spec.Name = "", "", ""
	spec.DeviceChange = append(slices.Clone(c.req.Spec.Location.DeviceChange), spec.DeviceChange...)
	ctx.WithLock(clone, func() { keepFiles(clone, spec.DeviceChange) })
	return c.vc.reconfigure(detached(ctx), clone, spec)
}

// keepFiles leaves each edited disk its own file: clients send the source's disk with the source's file name, which
// a vCenter takes to mean "that disk" and the simulator takes to mean "that file".
func keepFiles(clone *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec) {
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		wanted, ok := spec.Device.(*types.VirtualDisk)
		if !ok || spec.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			continue
		}
		current, ok := object.VirtualDeviceList(clone.Config.Hardware.Device).FindByKey(wanted.Key).(*types.VirtualDisk)
		if !ok {
			continue
		}
		own, ok := current.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok {
			continue
		}
		backing := *own
		if asked, ok := wanted.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			backing.ThinProvisioned, backing.EagerlyScrub = asked.ThinProvisioned, asked.EagerlyScrub
		}
		wanted.Backing = &backing
	}
}

func (c *cloning) powerOn(ctx *simulator.Context, ref types.ManagedObjectReference) types.BaseMethodFault {
	clone := c.vc.registry().Get(ref).(*simulator.VirtualMachine)
	answer := clone.PowerOnVMTask(detached(ctx), &types.PowerOnVM_Task{This: ref})
	_, fault := c.vc.await(answer.(*methods.PowerOnVM_TaskBody).Res.Returnval)
	return fault
}

var addressCount atomic.Uint32

// assignAddresses gives network cards and disks identities of their own. The simulator copies MAC addresses, and
// derives others from so few bits that they repeat among a few dozen VMs.
func (vc *vCenter) assignAddresses(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	ctx.AutoUpdate(vm, func() {
		renamed := map[int32]string{}
		for _, device := range vm.Config.Hardware.Device {
			switch d := device.(type) {
			case types.BaseVirtualEthernetCard:
				card := d.GetVirtualEthernetCard()
				if card.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
					card.AddressType = string(types.VirtualEthernetCardMacTypeAssigned)
					card.MacAddress = nextAddress()
				}
				renamed[card.Key] = card.MacAddress
			case *types.VirtualDisk:
				if backing, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
					backing.Uuid = uuid.NewString()
				}
			}
		}
		vm.Guest.Net = nil
		for key, address := range renamed {
			vm.Guest.Net = append(vm.Guest.Net, types.GuestNicInfo{MacAddress: address, DeviceConfigId: key})
		}
	})
}

// nextAddress counts through 00:50:56:80:00:00 and up, the range that vCenter assigns from.
func nextAddress() string {
	n := addressCount.Add(1)
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80|(n>>16)&0x3f, (n>>8)&0xff, n&0xff)
}
