package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
)

// vCenter is one vCenter double: the simulator's service and what stands around it.
type vCenter struct {
	opts       options
	model      *simulator.Model
	service    *simulator.Service
	client     *vim25.Client       // in-process, as an administrator
	own        *simulator.Registry // of our own "session"
	logins     *logins
	calls      *callLog
	disturb    *disturbances
	rights     *rights
	tags       *tagStore
	hosts      *hostFiles
	guests     *guests
	incomplete *incomplete
	durations  *durations
	finished   *finishedTasks
	outages    *outages
	oldLogs    sync.Map // VM -> where the simulator writes its log although it has moved
	questions  *questions
	aside      sync.RWMutex // held while files of others are out of a directory that the simulator removes
	servers    []*http.Server

	front      *http.Server // what clients reach; restart.go closes it and makes another
	door       http.Handler
	secure     *tls.Config
	starting   atomic.Bool
	restarting sync.Mutex // also guards the next
	backup     *backup

	policies        *policies
	recommendations recommendations
	stopped         chan struct{} // closed when the servers end
}

// ready is what main prints when both servers listen.
type ready struct {
	URL        string `json:"url"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	CAFile     string `json:"caFile"`
	ControlURL string `json:"controlUrl"`
	Users      []user `json:"users"`
}

func newVCenter(opts options) (*vCenter, error) {
	vc := &vCenter{
		opts:    opts,
		logins:  newLogins(opts),
		calls:   newCallLog(),
		disturb: newDisturbances(opts.latency),
		rights:  newRights(),
		tags:    newTagStore(),
		own:     simulator.NewRegistry(),

		incomplete: newIncomplete(),
		durations:  newDurations(opts.clone),
		finished:   newFinishedTasks(opts.taskHistory),
		outages:    newOutages(),
		questions:  newQuestions(),
		stopped:    make(chan struct{}),

		policies:        newPolicies(),
		recommendations: recommendations{keyTime: defaultKeyTime},
	}
	if err := vc.createInventory(); err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, u := range opts.users {
		if err := vc.setRights(u.Username, u.Roles); err != nil {
			return nil, fmt.Errorf("roles of %s: %w", u.Username, err)
		}
	}
	return vc, nil
}

func (vc *vCenter) registry() *simulator.Registry { return vc.service.Context.Map }

// newContext returns a context of our own, so that object locks are not shared with a request.
func (vc *vCenter) newContext() *simulator.Context {
	session := &simulator.Session{Registry: vc.own, Map: vc.registry()}
	session.UserName = "com.vmware.vcenter"
	return &simulator.Context{Context: context.Background(), Session: session, Map: vc.registry()}
}

func (vc *vCenter) serve() (ready, error) {
	caFile := filepath.Join(vc.opts.stateDir, "vcenter-ca.crt")
	certificate, err := serverCertificate(caFile)
	if err != nil {
		return ready{}, err
	}
	listener, err := net.Listen("tcp", vc.opts.address)
	if err != nil {
		return ready{}, err
	}
	control, err := net.Listen("tcp", vc.opts.control)
	if err != nil {
		return ready{}, err
	}
	host := listener.Addr().String()
	vc.service.Listen = &url.URL{Scheme: "https", Host: host, Path: vim25.Path,
		User: url.UserPassword(vc.opts.username, vc.opts.password)}
	vc.registry().SessionManager().ServiceHostName = host
	vc.registry().SessionManager().ValidLogin = vc.logins.validSOAP

	if err := vc.serveHosts(); err != nil {
		return ready{}, err
	}
	vc.secure = &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	vc.door = vc.frontDoor()
	vc.front = vc.start(tls.NewListener(listener, vc.secure), vc.gate(vc.door))
	vc.servers = append(vc.servers, vc.start(control, vc.controlAPI()))
	go vc.refreshStorage(vc.stopped)
	return ready{
		URL: "https://" + host, Username: vc.opts.username, Password: vc.opts.password,
		CAFile: caFile, ControlURL: "http://" + control.Addr().String(), Users: vc.opts.users,
	}, nil
}

func (vc *vCenter) start(listener net.Listener, handler http.Handler) *http.Server {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatalf("serving %s: %v", listener.Addr(), err)
		}
	}()
	return server
}

// frontDoor is everything a client of this vCenter can reach.
func (vc *vCenter) frontDoor() http.Handler {
	vc.registry().Handler = vc.override
	vc.service.RegisterSDK(vc.registry(), vim25.Path+"/vimService")
	vc.service.RegisterSDK(vc.servePolicies(), "/pbm/sdk") // which is where pyVmomi's samples look for it

	mux := http.NewServeMux()
	mux.HandleFunc(vim25.Path+"/vimServiceVersions.xml", serviceVersions)
	mux.Handle(vim25.Path, vc.logSOAP(vc.service.ServeMux))
	mux.Handle(vim25.Path+"/vimService", vc.logSOAP(vc.service.ServeMux))
	mux.Handle("/pbm", vc.logSOAP(vc.service.ServeMux))
	mux.Handle("/pbm/sdk", vc.logSOAP(vc.service.ServeMux))
	mux.Handle("/folder/", vc.logHTTP(http.HandlerFunc(vc.serveFiles)))
	mux.Handle("/api", http.HandlerFunc(vc.serveJSONRPC))
	mux.Handle("/api/", http.HandlerFunc(vc.serveREST))
	return mux
}

// close stops both servers at once, long polls included, and removes the datastores.
func (vc *vCenter) close() {
	vc.restarting.Lock() // a restart that is under way first comes up
	_ = vc.front.Close()
	close(vc.stopped)
	for _, server := range vc.servers {
		_ = server.Close()
	}
	vc.model.Remove()
}

// serviceVersions lists the API versions that a vCenter 8.0 U3 accepts, newest first.
func serviceVersions(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8" ?>
<namespaces version="1.0"><namespace><name>urn:vim25</name><version>`+apiVersion+`</version><priorVersions>`)
	for _, v := range []string{"8.0.2.0", "8.0.1.0", "8.0.0.1", "7.0.3.2", "7.0.3.0", "7.0.2.0", "7.0.1.0",
		"7.0.0.0", "6.9.1", "6.8.7", "6.7.3", "6.7.2", "6.7.1", "6.7", "6.5", "6.0", "5.5"} {
		fmt.Fprintf(w, "<version>%s</version>", v)
	}
	fmt.Fprint(w, `</priorVersions></namespace></namespaces>`)
}
