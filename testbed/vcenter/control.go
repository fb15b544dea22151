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
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) { vc.disturb.clear() })
	vc.addMachineControls(mux)
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

// postFault takes {"method": …, "fault": …, "count": N}.
func (vc *vCenter) postFault(w http.ResponseWriter, r *http.Request) {
	body := injection{Count: 1}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, `want {"method": NAME, "fault": NAME, "count": N}`, http.StatusBadRequest)
		return
	}
	if err := vc.disturb.inject(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}
