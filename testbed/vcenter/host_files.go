package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// hostFiles is the file service of all hosts: one address with a certificate of its own, which no CA has signed. It
// takes a session ticket once, for the very request that it was made for.
type hostFiles struct {
	address    string
	thumbprint string // SHA-1, as a vCenter writes it
	mu         sync.Mutex
	tickets    map[string]ticketFor
}

// ticketFor is the request that a ticket allows.
type ticketFor struct {
	host   types.ManagedObjectReference
	user   string
	method string // PUT
	path   string
	query  url.Values
}

// serveHosts starts the file service of the hosts.
func (vc *vCenter) serveHosts() error {
	certificate, err := hostCertificate()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	vc.hosts = &hostFiles{
		address:    listener.Addr().String(),
		thumbprint: thumbprint(certificate.Certificate[0]),
		tickets:    map[string]ticketFor{},
	}
	secure := tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	vc.servers = append(vc.servers, vc.start(secure, http.HandlerFunc(vc.logHost)))
	return nil
}

// hostCertificate is what a host makes for itself.
func hostCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3),
		Subject:      pkix.Name{CommonName: "localhost.localdomain", Organization: []string{"test bed host"}},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost.localdomain"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func thumbprint(der []byte) string {
	pairs := make([]string, 0, sha1.Size)
	for _, b := range sha1.Sum(der) {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return strings.Join(pairs, ":")
}

type sessionManager struct {
	*simulator.SessionManager
	vc *vCenter
}

func overrideSessionManager(vc *vCenter, object mo.Reference) mo.Reference {
	if m, ok := object.(*simulator.SessionManager); ok {
		return &sessionManager{m, vc}
	}
	return nil
}

// AcquireGenericServiceTicket makes a ticket for one HTTP request to a host that is in the inventory.
func (m *sessionManager) AcquireGenericServiceTicket(ctx *simulator.Context, req *types.AcquireGenericServiceTicket) soap.HasFault {
	refuse := func(property string) soap.HasFault {
		fault := &types.InvalidArgument{InvalidProperty: property}
		return &methods.AcquireGenericServiceTicketBody{Fault_: simulator.Fault("A specified parameter was not correct: "+property, fault)}
	}
	spec, ok := req.Spec.(*types.SessionManagerHttpServiceRequestSpec)
	if !ok {
		return refuse("spec")
	}
	method, isHTTP := strings.CutPrefix(spec.Method, "http")
	if !isHTTP || method == "" {
		return refuse("method")
	}
	wanted, err := url.Parse(spec.Url)
	if err != nil {
		return refuse("url")
	}
	host := m.vc.hostNamed(wanted.Hostname())
	if host == nil {
		return refuse("url")
	}
	if host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected {
		return &methods.AcquireGenericServiceTicketBody{
			Fault_: simulator.Fault("The host is not connected.", new(types.HostNotConnected))}
	}
	id := uuid.NewString()
	m.vc.hosts.add(id, ticketFor{host: host.Self, user: ctx.Session.UserName, method: strings.ToUpper(method),
		path: wanted.Path, query: wanted.Query()})
	return &methods.AcquireGenericServiceTicketBody{Res: &types.AcquireGenericServiceTicketResponse{
		Returnval: types.SessionManagerGenericServiceTicket{
			Id: id, HostName: m.vc.hosts.address, SslThumbprint: m.vc.hosts.thumbprint}}}
}

func (vc *vCenter) hostNamed(name string) *simulator.HostSystem {
	for _, entity := range vc.registry().All("HostSystem") {
		if strings.EqualFold(entity.Entity().Name, name) {
			return entity.(*simulator.HostSystem)
		}
	}
	return nil
}

func (h *hostFiles) add(id string, t ticketFor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tickets[id] = t
}

// use takes a ticket out: it is good for one request, whether that is the right one or not.
func (h *hostFiles) use(id string) (ticketFor, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.tickets[id]
	delete(h.tickets, id)
	return t, ok
}

// logHost logs a request to a host as protocol "host", for the user whose ticket it carries.
func (vc *vCenter) logHost(w http.ResponseWriter, r *http.Request) {
	ticket, known := ticketFor{}, false
	if cookie, err := r.Cookie("vmware_cgi_ticket"); err == nil {
		ticket, known = vc.hosts.use(cookie.Value)
	}
	c := vc.calls.begin(call{Protocol: "host", Method: r.Method, Object: r.URL.Path, User: ticket.user,
		OpID: r.Header.Get("operationID"), UserAgent: r.UserAgent()})
	recorder := &recorder{ResponseWriter: w}
	defer func() { vc.calls.end(c, recorder.status, "") }()
	execute := func(w http.ResponseWriter) {
		if !known || !ticket.allows(r) {
			http.Error(w, "Authentication required.", http.StatusUnauthorized)
			return
		}
		vc.serveHostFile(w, r, ticket)
	}
	(&exchange{vc: vc, request: r, call: c, answer: recorder, execute: execute}).run()
}

func (t ticketFor) allows(r *http.Request) bool {
	return t.method == r.Method && t.path == r.URL.Path && t.query.Encode() == r.URL.Query().Encode()
}

func (vc *vCenter) serveHostFile(w http.ResponseWriter, r *http.Request, ticket ticketFor) {
	host, ok := vc.registry().Get(ticket.host).(*simulator.HostSystem)
	if !ok {
		http.Error(w, "The host is gone.", http.StatusNotFound)
		return
	}
	name := r.URL.Query().Get("dsName")
	store, ok := vc.registry().FindByName(name, host.Datastore).(*simulator.Datastore)
	if !ok || !mounts(store, host.Self) {
		http.Error(w, "The datastore was not found.", http.StatusNotFound)
		return
	}
	path := object.DatastorePath{Datastore: name, Path: strings.TrimPrefix(r.URL.Path, "/folder/")}
	file, ok := vc.file(path)
	switch {
	case !ok:
		http.Error(w, "The datastore was not found.", http.StatusNotFound)
	case r.Method == http.MethodPut:
		vc.aside.RLock()
		defer vc.aside.RUnlock()
		putFile(w, r, file)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		http.ServeFile(w, r, file)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func mounts(store *simulator.Datastore, host types.ManagedObjectReference) bool {
	return slices.ContainsFunc(store.Host, func(m types.DatastoreHostMount) bool { return m.Key == host })
}
