package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// serveFiles answers /folder/<path>?dcPath=…&dsName=…, for those who are logged in. The simulator's own needs no
// session, makes missing directories, and cannot delete.
func (vc *vCenter) serveFiles(w http.ResponseWriter, r *http.Request) {
	user := vc.fileUser(r)
	if user == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "Authentication required.", http.StatusUnauthorized)
		return
	}
	file, ok := vc.requestedFile(r)
	if !ok {
		http.Error(w, "The datacenter or datastore was not found.", http.StatusNotFound)
		return
	}
	if datastore, ok := vc.byName("Datastore")[r.URL.Query().Get("dsName")]; ok {
		needs := []need{{datastore.Reference(), filePrivilege(r)}}
		if vc.lacking(user, r.Method+" /folder", needs) != nil {
			http.Error(w, "Permission to perform this operation was denied.", http.StatusForbidden)
			return
		}
	}
	vc.aside.RLock()
	defer vc.aside.RUnlock()
	switch r.Method {
	case http.MethodPut:
		putFile(w, r, file)
	case http.MethodDelete:
		deleteFile(w, file)
	case http.MethodGet, http.MethodHead:
		http.ServeFile(w, r, file)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// fileUser returns who asks for a file, "" for a stranger.
func (vc *vCenter) fileUser(r *http.Request) string {
	name, password, ok := r.BasicAuth()
	switch {
	case !ok:
		return vc.liveUser(r)
	case vc.logins.valid(name, password):
		return name
	}
	return ""
}

// filePrivilege is what a request for a file requires on the datastore.
func filePrivilege(r *http.Request) string {
	if r.Method == http.MethodPut || r.Method == http.MethodDelete {
		return "Datastore.FileManagement"
	}
	return "Datastore.Browse"
}

func (vc *vCenter) requestedFile(r *http.Request) (string, bool) {
	query := r.URL.Query()
	name := strings.Trim(query.Get("dcPath"), "/")
	for _, entity := range vc.registry().All("Datacenter") {
		if entity.Entity().Name != name {
			continue
		}
		dc := entity.(*simulator.Datacenter)
		if vc.registry().FindByName(query.Get("dsName"), dc.Datastore) == nil {
			return "", false
		}
		path := object.DatastorePath{
			Datastore: query.Get("dsName"), Path: strings.TrimPrefix(r.URL.Path, "/folder/")}
		return vc.file(path)
	}
	return "", false
}

func putFile(w http.ResponseWriter, r *http.Request, file string) {
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		http.Error(w, "The directory was not found.", http.StatusNotFound)
		return
	}
	status := http.StatusCreated
	if _, err := os.Stat(file); err == nil {
		status = http.StatusOK
	}
	if err := writeWhole(r.Body, file); err != nil {
		http.Error(w, "The file could not be written.", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
}

// writeWhole leaves no part of a file behind when the client goes away.
func writeWhole(body io.Reader, file string) error {
	partial, err := os.CreateTemp("", "upload-")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	_, err = io.Copy(partial, body)
	if closing := partial.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(partial.Name(), file)
}

func deleteFile(w http.ResponseWriter, file string) {
	if err := os.Remove(file); err != nil {
		http.Error(w, "The file was not found.", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type fileManager struct {
	*simulator.FileManager
	vc *vCenter
}

// DeleteDatastoreFileTask deletes a file or a whole directory. Its faults name the file as the caller did; the
// simulator's name a path on this machine.
func (m *fileManager) DeleteDatastoreFileTask(ctx *simulator.Context, req *types.DeleteDatastoreFile_Task) soap.HasFault {
	run := func(*simulator.Context, *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		var path object.DatastorePath
		if !path.FromString(req.Name) || strings.Trim(path.Path, "/") == "" {
			return nil, &types.InvalidDatastorePath{DatastorePath: req.Name}
		}
		file, ok := m.vc.file(path)
		if !ok {
			return nil, &types.InvalidDatastorePath{
				InvalidDatastore: types.InvalidDatastore{Name: path.Datastore}, DatastorePath: req.Name}
		}
		m.vc.aside.RLock()
		defer m.vc.aside.RUnlock()
		if _, err := os.Stat(file); err != nil {
			return nil, &types.FileNotFound{FileFault: types.FileFault{File: req.Name}}
		}
		if err := os.RemoveAll(file); err != nil {
			return nil, &types.CannotDeleteFile{FileFault: types.FileFault{File: req.Name}}
		}
		return nil, nil
	}
	about := m.vc.registry().Any("Datacenter")
	return &methods.DeleteDatastoreFile_TaskBody{Res: &types.DeleteDatastoreFile_TaskResponse{
		Returnval: m.vc.runTask(ctx, about, "DeleteDatastoreFile_Task", "FileManager.deleteFile", run)}}
}
