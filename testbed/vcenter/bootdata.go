package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// bootData is what a VM finds when it boots for the first time, and what follows from it.
type bootData struct {
	source   string // iso, guestinfo, ignition or ovf
	hostname string
	network  networkConfig
}

// findBootData looks where cloud-init (NoCloud, VMware, OVF) and Ignition (VMware) look. The VM must be locked.
func (vc *vCenter) findBootData(vm *mo.VirtualMachine) (bootData, bool) {
	for _, find := range []func(*mo.VirtualMachine) (bootData, bool){
		vc.noCloud, ignition, guestInfo, ovfEnvironment} {
		if data, ok := find(vm); ok {
			if data.hostname == "" {
				data.hostname = vm.Name
			}
			return data, true
		}
	}
	return bootData{}, false
}

// noCloud wants a connected CD with the volume name cidata and both files on it.
func (vc *vCenter) noCloud(vm *mo.VirtualMachine) (bootData, bool) {
	for _, device := range vm.Config.Hardware.Device {
		cdrom, ok := device.(*types.VirtualCdrom)
		if !ok || cdrom.Connectable == nil || !(cdrom.Connectable.Connected || cdrom.Connectable.StartConnected) {
			continue
		}
		backing, ok := cdrom.Backing.(*types.VirtualCdromIsoBackingInfo)
		if !ok {
			continue
		}
		var path object.DatastorePath
		path.FromString(backing.FileName)
		file, ok := vc.file(path)
		if !ok {
			continue
		}
		image, ok := readISO(file)
		userData, hasUser := image.files["user-data"]
		metaData, hasMeta := image.files["meta-data"]
		if ok && strings.EqualFold(image.volume, "cidata") && hasUser && hasMeta {
			return bootData{
				source:   "iso",
				hostname: hostname(string(metaData), string(userData)),
				network:  networkOfCloudInit(image.files["network-config"]),
			}, true
		}
	}
	return bootData{}, false
}

func guestInfo(vm *mo.VirtualMachine) (bootData, bool) {
	userData := decoded(vm, "guestinfo.userdata")
	metaData := decoded(vm, "guestinfo.metadata")
	if userData == "" {
		return bootData{}, false
	}
	return bootData{source: "guestinfo", hostname: hostname(metaData, userData)}, true
}

// ignition prefers guestinfo to the OVF environment, as Ignition's VMware provider does.
func ignition(vm *mo.VirtualMachine) (bootData, bool) {
	for _, name := range []string{"guestinfo.ignition.config.data", "guestinfo.coreos.config.data"} {
		config := decoded(vm, name)
		if config == "" {
			config = unpack(vappValue(vm, name), vappValue(vm, name+".encoding"))
		}
		if config != "" {
			files := ignitionFiles(config)
			return bootData{
				source:   "ignition",
				hostname: strings.TrimSpace(files["/etc/hostname"]),
				network:  networkOfNetworkd(files),
			}, true
		}
	}
	return bootData{}, false
}

// ovfEnvironment is read by cloud-init when the VM's environment comes on an ISO of its own.
func ovfEnvironment(vm *mo.VirtualMachine) (bootData, bool) {
	if vm.Config.VAppConfig == nil {
		return bootData{}, false
	}
	if !slices.Contains(vm.Config.VAppConfig.GetVmConfigInfo().OvfEnvironmentTransport, "iso") {
		return bootData{}, false
	}
	userData := unpack(vappValue(vm, "user-data"), "base64")
	return bootData{source: "ovf", hostname: hostname("", userData)}, userData != ""
}

func extraConfig(vm *mo.VirtualMachine, key string) string {
	for _, option := range vm.Config.ExtraConfig {
		if value := option.GetOptionValue(); value.Key == key {
			text, _ := value.Value.(string)
			return text
		}
	}
	return ""
}

func decoded(vm *mo.VirtualMachine, key string) string {
	return unpack(extraConfig(vm, key), extraConfig(vm, key+".encoding"))
}

func vappValue(vm *mo.VirtualMachine, id string) string {
	if vm.Config.VAppConfig == nil {
		return ""
	}
	for _, property := range vm.Config.VAppConfig.GetVmConfigInfo().Property {
		if property.Id == id {
			return property.Value
		}
	}
	return ""
}

// unpack undoes base64 and gzip+base64, under the names that cloud-init and Ignition know; "" for broken data.
func unpack(text, encoding string) string {
	switch encoding {
	case "base64", "b64":
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return ""
		}
		return string(data)
	case "gzip+base64", "gz+b64":
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return ""
		}
		reader, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return ""
		}
		plain, err := io.ReadAll(reader)
		if err != nil {
			return ""
		}
		return string(plain)
	}
	return text
}

var (
	localHostname = regexp.MustCompile(`(?m)["']?local-hostname["']?:\s*["']?([A-Za-z0-9.-]+)`)
	userHostname  = regexp.MustCompile(`(?m)^hostname:\s*["']?([A-Za-z0-9.-]+)`)
)

func hostname(metaData, userData string) string {
	if found := localHostname.FindStringSubmatch(metaData); found != nil {
		return found[1]
	}
	if found := userHostname.FindStringSubmatch(userData); found != nil {
		return found[1]
	}
	return ""
}

// ignitionFiles are the files that a configuration itself writes with data URLs, path to text. What it merges is not
// looked into.
func ignitionFiles(text string) map[string]string {
	var config struct {
		Storage struct {
			Files []struct {
				Path     string `json:"path"`
				Contents struct {
					Source string `json:"source"`
				} `json:"contents"`
			} `json:"files"`
		} `json:"storage"`
	}
	files := map[string]string{}
	if json.Unmarshal([]byte(text), &config) != nil {
		return files
	}
	for _, file := range config.Storage.Files {
		kind, data, found := strings.Cut(file.Contents.Source, ",")
		if !found {
			continue
		}
		if strings.HasSuffix(kind, ";base64") {
			files[file.Path] = unpack(data, "base64")
			continue
		}
		files[file.Path], _ = url.PathUnescape(data)
	}
	return files
}
