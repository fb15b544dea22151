package main

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// disturbances delay calls and let some of them fail, as a test asked for through the control API.
type disturbances struct {
	mu      sync.Mutex
	latency time.Duration
	methods map[string]time.Duration
	faults  []*injection
}

// apiErrors are the errors that an operation of the Automation API may be told to end with.
var apiErrors = []string{"already_exists", "error", "internal_server_error", "invalid_argument", "not_found",
	"resource_busy", "service_unavailable", "timed_out", "unauthenticated", "unauthorized"}

// injection lets the next Count calls of a method fail; the call is not executed.
type injection struct {
	Method string `json:"method"`
	Fault  string `json:"fault"` // a SOAP fault type such as NoPermission, an HTTP status such as "503", or an apiError
	Count  int    `json:"count"`
}

func newDisturbances(latency time.Duration) *disturbances {
	return &disturbances{latency: latency, methods: map[string]time.Duration{}}
}

func (d *disturbances) setLatency(all time.Duration, methods map[string]time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latency, d.methods = all, methods
}

// delay sleeps for as long as this method is to be delayed.
func (d *disturbances) delay(method string) {
	d.mu.Lock()
	wait, ok := d.methods[method]
	if !ok {
		wait = d.latency
	}
	d.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
}

func (d *disturbances) inject(i injection) error {
	if strings.HasPrefix(i.Method, "com.vmware.") {
		if !slices.Contains(apiErrors, i.Fault) {
			return fmt.Errorf("%q is none of %s", i.Fault, strings.Join(apiErrors, ", "))
		}
	} else if status(i.Fault) == 0 {
		if _, err := newFault(i.Fault); err != nil {
			return err
		}
	}
	if i.Method == "" || i.Count < 1 {
		return fmt.Errorf("want a method and a count of at least 1")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &i)
	return nil
}

func (d *disturbances) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// take returns the fault that the next call of a method is to end with, or "".
func (d *disturbances) take(method string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range d.faults {
		if i.Count > 0 && i.Method == method {
			i.Count--
			return i.Fault
		}
	}
	return ""
}

// answerSOAP answers a call with an injected fault, if there is one.
func (d *disturbances) answerSOAP(w http.ResponseWriter, method string) bool {
	name := d.take(method)
	if name == "" {
		return false
	}
	if code := status(name); code != 0 {
		http.Error(w, http.StatusText(code), code)
		return true
	}
	fault, _ := newFault(name)
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusInternalServerError)
	var detail strings.Builder
	start := xml.StartElement{Name: xml.Name{Local: name + "Fault"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
		{Name: xml.Name{Local: "xsi:type"}, Value: name},
	}}
	_ = xml.NewEncoder(&detail).EncodeElement(fault, start)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`+
		`<soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>injected</faultstring>`+
		`<detail>%s</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, detail.String())
	return true
}

// status reads an HTTP status, or returns 0.
func status(name string) int {
	var code int
	if n, _ := fmt.Sscanf(name, "%d", &code); n == 1 && code >= 400 && code < 600 {
		return code
	}
	return 0
}

func newFault(name string) (any, error) {
	kind, ok := types.TypeFunc()(name)
	if !ok || kind.Kind() != reflect.Struct {
		return nil, fmt.Errorf("no vSphere fault is named %q", name)
	}
	fault, ok := reflect.New(kind).Interface().(types.BaseMethodFault)
	if !ok {
		return nil, fmt.Errorf("%q is not a fault", name)
	}
	return fault, nil
}
