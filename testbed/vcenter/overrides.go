package main

import (
	"fmt"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// overrides names the methods that this double answers instead of the simulator. The object that a builder returns
// must have a method of that name (Foo_Task is FooTask there); nil leaves the call to the simulator.
var overrides = map[string]func(*vCenter, mo.Reference) mo.Reference{
	"CloneVM_Task":             overrideVM,
	"ReconfigVM_Task":          overrideVM,
	"Destroy_Task":             overrideDestroy,
	"CreateResourcePool":       overrideResourcePool,
	"CreateVM_Task":            overrideFolder,
	"MoveIntoFolder_Task":      overridePod,
	"PowerOnMultiVM_Task":      overrideDatacenter,
	"RefreshDatastore":         overrideDatastore,
	"DeleteDatastoreFile_Task": overrideFileManager,
	"PowerOnVM_Task":           overrideVM,
	"PowerOffVM_Task":          overrideVM,
	"SuspendVM_Task":           overrideVM,
	"ResetVM_Task":             overrideVM,
	"CancelTask":               overrideTask,
	"FindByUuid":               overrideVisibleIndex,
	"FindAllByUuid":            overrideVisibleIndex,
	"FindByInventoryPath":      overrideVisibleIndex,
	"FindChild":                overrideVisibleIndex,
	"FindByDatastorePath":      overrideVisibleIndex,
	"FindByDnsName":            overrideVisibleIndex,
	"FindByIp":                 overrideVisibleIndex,

	"FetchUserPrivilegeOnEntities": overrideAuthorization,
	"HasPrivilegeOnEntities":       overrideAuthorization,
	"HasPrivilegeOnEntity":         overrideAuthorization,
	"HasUserPrivilegeOnEntities":   overrideAuthorization,
	"RetrieveEntityPermissions":    overrideAuthorization,

	"RelocateVM_Task":           overrideVM,
	"MigrateVM_Task":            overrideVM,
	"AnswerVM":                  overrideVM,
	"MarkAsTemplate":            overrideVM,
	"MarkAsVirtualMachine":      overrideVM,
	"CreateSnapshot_Task":       overrideVM,
	"CreateSnapshotEx_Task":     overrideVM,
	"RemoveAllSnapshots_Task":   overrideVM,
	"RemoveSnapshot_Task":       overrideSnapshot,
	"EnterMaintenanceMode_Task": overrideHost,
	"ExitMaintenanceMode_Task":  overrideHost,
	"DisconnectHost_Task":       overrideHost,
	"ReconnectHost_Task":        overrideHost,
	"RenameDatastore":           overrideDatastore,
	"Rename_Task":               overrideDatastore,

	"AcquireGenericServiceTicket":        overrideSessionManager,
	"RecommendDatastores":                overrideStorageDRS,
	"ApplyStorageDrsRecommendation_Task": overrideStorageDRS,
	"CancelStorageDrsRecommendation":     overrideStorageDRS,
	"ConfigureStorageDrsForPod_Task":     overrideStorageDRS,
}

var overrideCount atomic.Int64

// override is the simulator's hook on every call. The simulator looks a session's object up after the hook and
// prefers it, so the call is redirected to a reference that nobody knows: then the hook's answer stands.
func (vc *vCenter) override(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	complete(method)
	if ctx.Session != nil && method.This.Type == "PropertyCollector" {
		if c, ok := ctx.Session.Get(method.This).(*collector); ok {
			c.adopt(vc)
		}
	}
	if ctx.Session != nil {
		vc.logins.bind(ctx.Session)
	}
	if ctx.Session != nil && method.Name == "Logout" {
		closeCollectors(ctx)
	}
	if terminate, ok := method.Body.(*types.TerminateSession); ok {
		vc.abandonOthers(ctx, terminate.SessionId)
	}
	if ctx.Session == nil {
		return nil, nil
	}
	object := ctx.Session.Get(method.This)
	if object == nil {
		return nil, nil
	}
	if fault := vc.refusedFor(ctx.Session.UserName, object, method); fault != nil {
		return nil, fault
	}
	if fault := vc.refusedCall(object, method); fault != nil {
		return nil, fault
	}
	build, ok := overrides[method.Name]
	if !ok {
		return nil, nil
	}
	handler := build(vc, object)
	if handler == nil {
		return nil, nil
	}
	method.This = types.ManagedObjectReference{Type: nobody, Value: fmt.Sprint(overrideCount.Add(1))}
	return handler, nil
}

// closeCollectors ends the waits of a session that logs out.
func closeCollectors(ctx *simulator.Context) {
	for _, object := range ctx.Session.Registry.AllReference("PropertyCollector") {
		if c, ok := object.(*collector); ok {
			c.close(ctx)
		}
	}
}

// complete fills in optional arguments without which the simulator breaks.
func complete(method *simulator.Method) {
	var spec **types.HostDatastoreBrowserSearchSpec
	switch body := method.Body.(type) {
	case *types.SearchDatastore_Task:
		spec = &body.SearchSpec
	case *types.SearchDatastoreSubFolders_Task:
		spec = &body.SearchSpec
	default:
		return
	}
	if *spec == nil {
		*spec = new(types.HostDatastoreBrowserSearchSpec)
	}
	if len((*spec).MatchPattern) == 0 {
		(*spec).MatchPattern = []string{"*"}
	}
	if (*spec).Details == nil {
		(*spec).Details = new(types.FileQueryFlags)
	}
}

// virtualMachine answers for a VM; what it does not override is the simulator's.
type virtualMachine struct {
	*simulator.VirtualMachine
	vc *vCenter
}

func overrideVM(vc *vCenter, object mo.Reference) mo.Reference {
	if vm, ok := object.(*simulator.VirtualMachine); ok {
		return &virtualMachine{vm, vc}
	}
	return nil
}

func overrideDestroy(vc *vCenter, object mo.Reference) mo.Reference {
	switch o := object.(type) {
	case *simulator.VirtualMachine:
		return &virtualMachine{o, vc}
	case *simulator.Folder:
		return &folder{o, vc}
	}
	return nil
}

func overrideFolder(vc *vCenter, object mo.Reference) mo.Reference {
	if f, ok := object.(*simulator.Folder); ok {
		return &folder{f, vc}
	}
	return nil
}

func overrideDatacenter(vc *vCenter, object mo.Reference) mo.Reference {
	if dc, ok := object.(*simulator.Datacenter); ok {
		return &datacenter{dc, vc}
	}
	return nil
}

func overrideDatastore(vc *vCenter, object mo.Reference) mo.Reference {
	if ds, ok := object.(*simulator.Datastore); ok {
		return &datastore{ds, vc}
	}
	return nil
}

func overrideFileManager(vc *vCenter, object mo.Reference) mo.Reference {
	if m, ok := object.(*simulator.FileManager); ok {
		return &fileManager{m, vc}
	}
	return nil
}
