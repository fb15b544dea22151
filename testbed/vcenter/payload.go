package main

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// What a VM carries that has run on a cluster for a while: with -payload each of the VMs that are there at the start
// has that many, so that reading them costs what it costs on a vCenter.
const (
	payloadOptions = 100
	payloadDevices = 15
)

// payloadTexts are shared by all VMs; strings cannot change.
var payloadTexts = payloadKeys()

// payloadKeys are named and sized after what ESXi and VMware Tools write into a .vmx.
func payloadKeys() [][2]string {
	texts := [][2]string{
		{"hpet0.present", "TRUE"}, {"virtualHW.productCompatibility", "hosted"}, {"tools.guest.desktop.autolock", "FALSE"},
		{"migrate.hostLogState", "none"}, {"migrate.migrationId", "0"}, {"migrate.hostLog", "worker-5d1c2f7a.hlog"},
		{"monitor.phys_bits_used", "45"}, {"numa.autosize.cookie", "40042"}, {"numa.autosize.vcpu.maxPerVirtualNode", "4"},
		{"sched.cpu.latencySensitivity", "normal"}, {"sched.swap.derivedName", "/vmfs/volumes/vsan:52d6/worker/worker.vswp"},
		{"cpuid.coresPerSocket.cookie", "4"}, {"vmotion.checkpointFBSize", "4194304"}, {"vmotion.svga.mobMaxSize", "4194304"},
		{"vmxstats.filename", "worker.scoreboard"}, {"toolsInstallManager.updateCounter", "1"}, {"tools.deployPkg.fileName", ""},
		{"vmware.tools.internalversion", "12389"}, {"vmware.tools.requiredversion", "12389"}, {"vmware.tools.lastInstallStatus", "unknown"},
		{"guestinfo.vmtools.buildNumber", "21223074"}, {"guestinfo.vmtools.description", "open-vm-tools 12.3.5 build 22544099"},
		{"guestinfo.vmtools.versionNumber", "12389"}, {"guestinfo.vmtools.versionString", "12.3.5"},
		{"guestinfo.detailed.data", strings.Repeat("architecture='X86' bitness='64' ", 16)},
	}
	for bridge := 0; len(texts) < payloadOptions; bridge++ {
		for _, option := range [][2]string{
			{"present", "TRUE"}, {"virtualDev", "pcieRootPort"}, {"functions", "8"}, {"pciSlotNumber", fmt.Sprint(17 + bridge)},
		} {
			texts = append(texts, [2]string{fmt.Sprintf("pciBridge%d.%s", 4+bridge, option[0]), option[1]})
		}
	}
	return texts
}

// addPayload fills a VM up, before any client can see it.
func (vc *vCenter) addPayload(vm *simulator.VirtualMachine) {
	vc.newContext().WithLock(vm, func() {
		taken := map[string]bool{}
		for _, option := range vm.Config.ExtraConfig {
			taken[option.GetOptionValue().Key] = true
		}
		for _, text := range payloadTexts {
			if len(vm.Config.ExtraConfig) < payloadOptions && !taken[text[0]] {
				vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, &types.OptionValue{Key: text[0], Value: text[1]})
			}
		}
		for key := int32(7000); len(vm.Config.Hardware.Device) < payloadDevices; key++ {
			vm.Config.Hardware.Device = append(vm.Config.Hardware.Device, &types.VirtualUSBXHCIController{
				VirtualController: types.VirtualController{
					VirtualDevice: types.VirtualDevice{
						Key: key, ControllerKey: pciController, UnitNumber: types.NewInt32(key - 6980),
						DeviceInfo: &types.Description{Label: fmt.Sprintf("USB xHCI controller %d", key-7000), Summary: "USB xHCI controller"},
					},
					BusNumber: key - 7000,
				},
			})
		}
	})
}
