package main

import (
	"net/http"
	"slices"
)

// The values of the Automation API (vAPI) between its two wire forms. Plain Go values stand for themselves; these
// types carry what JSON-RPC spells out and REST leaves out.
type (
	structure struct {
		name   string
		fields map[string]any
	}
	optional struct{ value any } // nil: unset
	secret   string
)

// apiError is one of com.vmware.vapi.std.errors.
type apiError struct {
	kind    string // e.g. not_found
	status  int    // of the REST form
	message string
}

const errorPrefix = "com.vmware.vapi.std.errors."

func notFound(what string) *apiError {
	return &apiError{"not_found", http.StatusNotFound, what + " was not found"}
}

func alreadyExists(what string) *apiError {
	return &apiError{"already_exists", http.StatusBadRequest, what + " already exists"}
}

func invalidArgument(message string) *apiError {
	return &apiError{"invalid_argument", http.StatusBadRequest, message}
}

func unauthenticated() *apiError {
	return &apiError{"unauthenticated", http.StatusUnauthorized, "Authentication required."}
}

func operationNotFound(name string) *apiError {
	return &apiError{"operation_not_found", http.StatusNotFound, "operation " + name + " was not found"}
}

// apiErrors are the errors that an operation may be told to end with, and the statuses of their REST forms.
var apiErrors = []string{"already_exists", "already_in_desired_state", "concurrent_change", "error",
	"feature_in_use", "internal_server_error", "invalid_argument", "not_allowed_in_current_state", "not_found",
	"resource_busy", "resource_inaccessible", "service_unavailable", "timed_out", "unable_to_allocate_resource",
	"unauthenticated", "unauthorized", "unsupported"}

var apiStatuses = map[string]int{
	"concurrent_change":     http.StatusConflict,
	"error":                 http.StatusInternalServerError,
	"internal_server_error": http.StatusInternalServerError,
	"not_found":             http.StatusNotFound,
	"service_unavailable":   http.StatusServiceUnavailable,
	"timed_out":             http.StatusGatewayTimeout,
	"unauthenticated":       http.StatusUnauthorized,
	"unauthorized":          http.StatusForbidden,
}

// apiError is the error that a rule asks for.
func (i *injection) apiError() *apiError {
	kind := i.Fault
	if !slices.Contains(apiErrors, kind) {
		kind = "error" // a rule for all methods, with a fault of another protocol
	}
	status, ok := apiStatuses[kind]
	if !ok {
		status = http.StatusBadRequest
	}
	return &apiError{kind: kind, status: status, message: i.text()}
}

func (e *apiError) fields() map[string]any {
	message := structure{"com.vmware.vapi.std.localizable_message", map[string]any{
		"id":              "testbed." + e.kind,
		"default_message": e.message,
		"args":            []any{},
		"params":          optional{},
		"localized":       optional{},
	}}
	messages := []any{message}
	if e.message == "" {
		messages = []any{}
	}
	fields := map[string]any{
		"messages":   messages,
		"data":       optional{},
		"error_type": optional{errorType(e.kind)},
	}
	if e.kind == "unauthenticated" {
		fields["challenge"] = optional{}
	}
	return fields
}

// decodeRPC strips JSON-RPC's type wrappers: {"STRUCTURE": {name: fields}}, {"OPTIONAL": value}, {"SECRET": text}.
func decodeRPC(value any) any {
	switch v := value.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = decodeRPC(v[i])
		}
		return list
	case map[string]any:
		return decodeWrapper(v)
	}
	return value
}

func decodeWrapper(wrapper map[string]any) any {
	for kind, inner := range wrapper {
		if kind != "STRUCTURE" {
			return decodeRPC(inner)
		}
		named, _ := inner.(map[string]any)
		for _, fields := range named {
			plain := map[string]any{}
			all, _ := fields.(map[string]any)
			for name, field := range all {
				plain[name] = decodeRPC(field)
			}
			return plain
		}
	}
	return nil
}

// encodeRPC adds JSON-RPC's type wrappers.
func encodeRPC(value any) any {
	switch v := value.(type) {
	case structure:
		return map[string]any{"STRUCTURE": map[string]any{v.name: encodeFields(v.fields)}}
	case optional:
		return map[string]any{"OPTIONAL": encodeRPC(v.value)}
	case secret:
		return map[string]any{"SECRET": string(v)}
	case []string:
		return v
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = encodeRPC(v[i])
		}
		return list
	}
	return value
}

func encodeFields(fields map[string]any) map[string]any {
	encoded := map[string]any{}
	for name, field := range fields {
		encoded[name] = encodeRPC(field)
	}
	return encoded
}

// encodeREST leaves unset fields out, and everything else as it is.
func encodeREST(value any) any {
	switch v := value.(type) {
	case structure:
		plain := map[string]any{}
		for name, field := range v.fields {
			if unset, ok := field.(optional); ok && unset.value == nil {
				continue
			}
			plain[name] = encodeREST(field)
		}
		return plain
	case optional:
		return encodeREST(v.value)
	case secret:
		return string(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = encodeREST(v[i])
		}
		return list
	}
	return value
}

func stringList(list []any) []string {
	texts := make([]string, 0, len(list))
	for _, item := range list {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
