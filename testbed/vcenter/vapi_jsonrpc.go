package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// rpcRequest is a JSON-RPC 2.0 request as the Automation SDK's default connector makes it.
type rpcRequest struct {
	ID     any    `json:"id"`
	Method string `json:"method"`
	Params struct {
		ServiceID   string         `json:"serviceId"`
		OperationID string         `json:"operationId"`
		Input       map[string]any `json:"input"`
		Context     struct {
			Application map[string]any `json:"appCtx"`
			Security    map[string]any `json:"securityCtx"`
		} `json:"ctx"`
	} `json:"params"`
}

const (
	schemeSession  = "com.vmware.vapi.std.security.session_id"
	schemePassword = "com.vmware.vapi.std.security.user_pass"
)

func (r *rpcRequest) operation() string { return r.Params.ServiceID + "." + r.Params.OperationID }

func (r *rpcRequest) token() string {
	if text(r.Params.Context.Security, "schemeId") != schemeSession {
		return ""
	}
	return text(r.Params.Context.Security, "sessionId")
}

// serveJSONRPC answers POST /api. Errors of operations are results in JSON-RPC, with HTTP status 200.
func (vc *vCenter) serveJSONRPC(w http.ResponseWriter, r *http.Request) {
	var request rpcRequest
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || json.Unmarshal(body, &request) != nil || request.Method != "invoke" {
		http.Error(w, "want a JSON-RPC invoke", http.StatusBadRequest)
		return
	}
	input, _ := decodeRPC(request.Params.Input).(map[string]any)
	session, _ := vc.logins.useREST(request.token())
	c := vc.calls.begin(call{Protocol: "rest", Method: request.operation(), Object: subject(input),
		User: session.User, OpID: text(request.Params.Context.Application, "opId"), UserAgent: r.UserAgent()})
	recorder := &recorder{ResponseWriter: w}
	fault := ""
	defer func() { vc.calls.end(c, recorder.status, fault) }()
	respond := func(w http.ResponseWriter, output any, err *apiError) {
		result := map[string]any{"output": encodeRPC(output)}
		if err != nil {
			fault = err.kind
			result = map[string]any{"error": map[string]any{
				"ERROR": map[string]any{errorPrefix + err.kind: encodeFields(err.fields())}}}
		}
		writeJSON(w, map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result})
	}
	(&exchange{vc: vc, request: r, call: c, answer: recorder,
		execute: func(w http.ResponseWriter) {
			output, err := vc.answerRPC(&request, input, r.UserAgent())
			respond(w, output, err)
		},
		fail: func(w http.ResponseWriter, rule *injection) { respond(w, nil, rule.apiError()) },
	}).run()
}

func (vc *vCenter) answerRPC(request *rpcRequest, input map[string]any, agent string) (any, *apiError) {
	name := request.operation()
	if name == sessionService+".create" {
		return vc.createSession(request, agent)
	}
	session, ok := vc.logins.useREST(request.token())
	if !ok {
		return nil, unauthenticated()
	}
	switch name {
	case sessionService + ".get":
		return sessionInfo(session), nil
	case sessionService + ".delete":
		vc.logins.closeREST(request.token())
		return nil, nil
	}
	return vc.invoke(session.User, name, input)
}

func (vc *vCenter) createSession(request *rpcRequest, agent string) (any, *apiError) {
	security := request.Params.Context.Security
	name := text(security, "userName")
	if text(security, "schemeId") != schemePassword || !vc.logins.valid(name, text(security, "password")) {
		return nil, unauthenticated()
	}
	return secret(vc.logins.openREST(name, agent)), nil
}

// subject is what a call is about, for the log.
func subject(input map[string]any) string {
	for _, name := range []string{"tag_id", "category_id"} {
		if id := text(input, name); id != "" {
			return id
		}
	}
	if object := objectOf(input["object_id"]); object.ID != "" {
		return object.Type + ":" + object.ID
	}
	return ""
}

func errorType(kind string) string { return strings.ToUpper(kind) }
