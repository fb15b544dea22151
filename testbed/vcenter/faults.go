package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// faultSpec describes a fault in JSON: its type, its data members under their names in the API, what it says, and
// the fault that caused it.
type faultSpec struct {
	Fault   string          `json:"fault,omitempty"` // a vim fault, an HTTP status such as "503", or one of apiErrors
	Data    json.RawMessage `json:"data,omitempty"`
	Message string          `json:"message,omitempty"`
	Cause   *faultSpec      `json:"cause,omitempty"`
}

// text is what the fault says.
func (s *faultSpec) text() string {
	if s.Message != "" {
		return s.Message
	}
	return "injected"
}

// build makes the vim fault.
func (s *faultSpec) build() (types.BaseMethodFault, error) {
	kind, ok := types.TypeFunc()(s.Fault)
	if !ok || kind.Kind() != reflect.Struct {
		return nil, fmt.Errorf("no vSphere fault is named %q", s.Fault)
	}
	fault, ok := reflect.New(kind).Interface().(types.BaseMethodFault)
	if !ok {
		return nil, fmt.Errorf("%q is not a fault", s.Fault)
	}
	if len(s.Data) > 0 {
		decoder := types.NewJSONDecoder(bytes.NewReader(s.Data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(fault); err != nil {
			return nil, fmt.Errorf("data of %s: %w", s.Fault, err)
		}
	}
	if name := missingReference(reflect.ValueOf(fault).Elem()); name != "" && !completed(fault) {
		return nil, fmt.Errorf("data of %s: want %s, as {\"type\": …, \"value\": …}", s.Fault, name)
	}
	if s.Cause != nil {
		cause, err := s.Cause.build()
		if err != nil {
			return nil, fmt.Errorf("cause: %w", err)
		}
		fault.GetMethodFault().FaultCause = &types.LocalizedMethodFault{Fault: cause, LocalizedMessage: s.Cause.text()}
	}
	return fault, nil
}

// missingReference names a required reference that is not set: clients cannot read a fault without.
func missingReference(fault reflect.Value) string {
	for i := range fault.NumField() {
		field := fault.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct {
			if name := missingReference(fault.Field(i)); name != "" {
				return name
			}
		}
		if ref, ok := fault.Field(i).Interface().(types.ManagedObjectReference); ok && ref.Type == "" {
			return strings.ToLower(field.Name[:1]) + field.Name[1:]
		}
	}
	return ""
}

// completed says whether buildFor sets what is required.
func completed(fault types.BaseMethodFault) bool {
	switch fault.(type) {
	case *types.ManagedObjectNotFound, *types.TaskInProgress:
		return true
	}
	return false
}

// buildFor makes the fault for a call, with the members that clients read and that a test seldom cares to name.
func (s *faultSpec) buildFor(c call) types.BaseMethodFault {
	fault, err := s.build()
	if err != nil {
		return &types.SystemError{RuntimeFault: types.RuntimeFault{}, Reason: err.Error()}
	}
	this := refOf(c.Object)
	switch f := fault.(type) {
	case *types.NoPermission:
		completeNoPermission(f, this, "System.Read")
	case *types.NotAuthenticated:
		completeNoPermission(&f.NoPermission, this, "System.View")
	case *types.ManagedObjectNotFound:
		if f.Obj.Value == "" && this != nil {
			f.Obj = *this
		}
	case *types.TaskInProgress:
		if f.Task.Value == "" {
			f.Task = types.ManagedObjectReference{Type: "Task", Value: "task-0"}
		}
	}
	return fault
}

func completeNoPermission(f *types.NoPermission, this *types.ManagedObjectReference, privilege string) {
	if f.Object == nil {
		f.Object = this
	}
	if f.PrivilegeId == "" {
		f.PrivilegeId = privilege
	}
}

// refOf reads "VirtualMachine:vm-7".
func refOf(text string) *types.ManagedObjectReference {
	kind, value, ok := strings.Cut(text, ":")
	if !ok {
		return nil
	}
	return &types.ManagedObjectReference{Type: kind, Value: value}
}

// status reads an HTTP status, or returns 0.
func status(name string) int {
	var code int
	if n, _ := fmt.Sscanf(name, "%d", &code); n == 1 && code >= 400 && code < 600 {
		return code
	}
	return 0
}

const envelopeStart = `<?xml version="1.0" encoding="UTF-8"?>` +
	`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
	`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`

// answerFault answers a SOAP call with a fault.
func answerFault(w http.ResponseWriter, fault types.BaseMethodFault, text string) {
	name := reflect.TypeOf(fault).Elem().Name()
	var detail, message strings.Builder
	start := xml.StartElement{Name: xml.Name{Local: name + "Fault"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
		{Name: xml.Name{Local: "xsi:type"}, Value: name},
	}}
	_ = xml.NewEncoder(&detail).EncodeElement(fault, start)
	_ = xml.EscapeText(&message, []byte(text))
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `%s<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring>`+
		`<detail>%s</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, envelopeStart, &message, &detail)
}
