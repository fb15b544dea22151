package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

const tokenHeader = "vmware-api-session-id"

// serveREST answers /api/session and /api/cis/tagging/…, the same operations in their REST form.
func (vc *vCenter) serveREST(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	name, input := restOperation(r, body)
	session, loggedIn := vc.logins.useREST(r.Header.Get(tokenHeader))
	c := vc.calls.begin(call{Protocol: "rest", Method: name, Object: subject(input), User: session.User,
		OpID: r.Header.Get("X-Request-ID"), UserAgent: r.UserAgent()})
	recorder := &recorder{ResponseWriter: w}
	fault := ""
	defer func() { vc.calls.end(c, recorder.status, fault) }()
	respond := func(w http.ResponseWriter, output any, status int, err *apiError) {
		if err != nil {
			fault, status = err.kind, err.status
			output = structure{"", err.fields()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_ = json.NewEncoder(w).Encode(encodeREST(output))
		}
	}
	(&exchange{vc: vc, request: r, call: c, answer: recorder,
		execute: func(w http.ResponseWriter) {
			output, status, err := vc.answerREST(r, name, input, session, loggedIn)
			respond(w, output, status, err)
		},
		fail: func(w http.ResponseWriter, rule *injection) { respond(w, nil, 0, rule.apiError()) },
	}).run()
}

func (vc *vCenter) answerREST(
	r *http.Request, name string, input map[string]any, session restSession, loggedIn bool,
) (any, int, *apiError) {
	if name == sessionService+".create" {
		user, password, _ := r.BasicAuth()
		if !vc.logins.valid(user, password) {
			return nil, 0, unauthenticated()
		}
		return secret(vc.logins.openREST(user, r.UserAgent())), http.StatusCreated, nil
	}
	if !loggedIn {
		return nil, 0, unauthenticated()
	}
	switch name {
	case sessionService + ".get":
		return sessionInfo(session), http.StatusOK, nil
	case sessionService + ".delete":
		vc.logins.closeREST(r.Header.Get(tokenHeader))
		return nil, http.StatusNoContent, nil
	}
	output, err := vc.invoke(session.User, name, input)
	switch {
	case err != nil:
		return nil, 0, err
	case output == nil:
		return nil, http.StatusNoContent, nil
	case strings.HasSuffix(name, ".create"):
		return output, http.StatusCreated, nil
	}
	return output, http.StatusOK, nil
}

// restOperation maps method, path and action to the operation and its parameters.
func restOperation(r *http.Request, body []byte) (string, map[string]any) {
	path := strings.TrimPrefix(r.URL.Path, "/api/")
	input := map[string]any{}
	verbs := map[string]string{http.MethodPost: "create", http.MethodGet: "get", http.MethodDelete: "delete",
		http.MethodPatch: "update"}
	verb := verbs[r.Method]
	if path == "session" {
		return sessionService + "." + verb, input
	}
	resource, isTagging := strings.CutPrefix(path, "cis/tagging/")
	kind, id, hasID := strings.Cut(resource, "/")
	service, parameter := restService(kind)
	if !isTagging || service == "" {
		return r.Method + " " + r.URL.Path, input
	}
	action := strings.ReplaceAll(r.URL.Query().Get("action"), "-", "_")
	if action != "" {
		_ = json.Unmarshal(body, &input)
		verb = action
	} else if len(body) > 0 {
		var spec map[string]any
		_ = json.Unmarshal(body, &spec)
		input[verb+"_spec"] = spec
	}
	if hasID {
		input[parameter] = id
	} else if verb == "get" {
		verb = "list"
	}
	return service + "." + verb, input
}

func restService(kind string) (service, parameter string) {
	switch kind {
	case "category":
		return categoryService, "category_id"
	case "tag":
		return tagService, "tag_id"
	case "tag-association":
		return associationService, "tag_id"
	}
	return "", ""
}
