package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// controlAPI is how a test looks behind the double and disturbs it. It is not part of what a vCenter has.
func (vc *vCenter) controlAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", vc.getCalls)
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, vc.state()) })
	mux.HandleFunc("GET /boots-without-data", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, vc.guests.bootsWithoutData())
	})
	mux.HandleFunc("POST /latency", vc.postLatency)
	mux.HandleFunc("POST /faults", vc.postFault)
	vc.addMachineControls(mux)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, vc.disturb.overview()) })
	mux.HandleFunc("DELETE /faults", vc.deleteFaults)
	mux.HandleFunc("POST /release", func(http.ResponseWriter, *http.Request) { vc.disturb.release() })
	mux.HandleFunc("POST /restart", vc.postRestart)
	mux.HandleFunc("POST /backup", vc.postBackup)
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, vc.sessionGroups()) })
	mux.HandleFunc("POST /rights", vc.postRights)
	mux.HandleFunc("POST /hide", vc.postHide)
	mux.HandleFunc("GET /privileges", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, vc.rights.used()) })
	mux.HandleFunc("DELETE /privileges", func(http.ResponseWriter, *http.Request) { vc.rights.forgetUsed() })
	mux.HandleFunc("POST /session-idle", vc.postSessionIdle)
	vc.storageControls(mux)
	return mux
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// getCalls lists calls: ?since=SEQUENCE&method=…&object=…&user=…&protocol=…&opID=…&reset=true, all optional.
func (vc *vCenter) getCalls(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	since := 0
	if text := query.Get("since"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			http.Error(w, "since must be a sequence number", http.StatusBadRequest)
			return
		}
		since = n
	}
	wanted := func(key, value string) bool { return !query.Has(key) || query.Get(key) == value }
	match := func(c call) bool {
		return wanted("method", c.Method) && wanted("object", c.Object) && wanted("user", c.User) &&
			wanted("protocol", c.Protocol) && wanted("opID", c.OpID)
	}
	writeJSON(w, vc.calls.since(since, match, query.Get("reset") == "true"))
}

// postLatency takes {"ms": N, "methods": {"CloneVM_Task": N}}.
func (vc *vCenter) postLatency(w http.ResponseWriter, r *http.Request) {
	var body struct {
		MS      int            `json:"ms"`
		Methods map[string]int `json:"methods"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.MS < 0 {
		http.Error(w, `want {"ms": N, "methods": {NAME: N}}`, http.StatusBadRequest)
		return
	}
	methods := map[string]time.Duration{}
	for name, ms := range body.Methods {
		methods[name] = time.Duration(ms) * time.Millisecond
	}
	vc.disturb.setLatency(time.Duration(body.MS)*time.Millisecond, methods)
}

// postFault takes a rule, see injection.
func (vc *vCenter) postFault(w http.ResponseWriter, r *http.Request) {
	body := injection{Count: 1}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := vc.disturb.inject(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// deleteFaults forgets all rules and releases what hangs; with ?opID=… only the rules for it.
func (vc *vCenter) deleteFaults(_ http.ResponseWriter, r *http.Request) {
	if query := r.URL.Query(); query.Has("opID") {
		vc.disturb.forget(query.Get("opID"))
		return
	}
	vc.disturb.clear()
}

// postSessionIdle takes {"soapMs": N, "restMs": N}; 0: sessions do not expire.
func (vc *vCenter) postSessionIdle(w http.ResponseWriter, r *http.Request) {
	var body struct {
		SOAPMS int `json:"soapMs"`
		RESTMS int `json:"restMs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.SOAPMS < 0 || body.RESTMS < 0 {
		http.Error(w, `want {"soapMs": N, "restMs": N}`, http.StatusBadRequest)
		return
	}
	vc.logins.setIdle(idleTimes{
		time.Duration(body.SOAPMS) * time.Millisecond, time.Duration(body.RESTMS) * time.Millisecond})
}
