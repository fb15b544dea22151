package main

import (
	"crypto/tls"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/vmware/govmomi/simulator"
)

// restart is what POST /restart asks for.
type restart struct {
	DownMS int    `json:"downMs"`
	While  string `json:"while"` // what clients meet meanwhile: "refuse" (connections) or "503" (from the proxy)

	Restored bool `json:"restored"` // from the last backup
}

const relistening = 10 * time.Second // how long to try to get the port back

// gate answers 503 while vCenter's services start behind the reverse proxy.
func (vc *vCenter) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if vc.starting.Load() {
			http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// postRestart answers when vCenter is down; with downMs 0, when it is up again.
func (vc *vCenter) postRestart(w http.ResponseWriter, r *http.Request) {
	ask := restart{While: "refuse"}
	err := json.NewDecoder(r.Body).Decode(&ask)
	if err != nil || ask.DownMS < 0 || ask.While != "refuse" && ask.While != "503" {
		http.Error(w, `want {"downMs": N, "while": "refuse" or "503"}`, http.StatusBadRequest)
		return
	}
	vc.restarting.Lock()
	if ask.Restored && vc.backup == nil {
		vc.restarting.Unlock()
		http.Error(w, "there is no backup: POST /backup first", http.StatusBadRequest)
		return
	}
	vc.starting.Store(true)
	_ = vc.front.Close()
	vc.forget()
	if ask.While == "503" {
		vc.listenAgain()
	}
	up := func() {
		defer vc.restarting.Unlock()
		vc.forget() // what calls that were under way have left
		if ask.Restored {
			vc.restore()
		}
		vc.starting.Store(false)
		if ask.While == "refuse" {
			vc.listenAgain()
		}
	}
	if ask.DownMS == 0 {
		up()
		return
	}
	time.AfterFunc(time.Duration(ask.DownMS)*time.Millisecond, up)
}

// forget drops what a vCenter has in memory only: sessions with their views and collectors, and tasks.
func (vc *vCenter) forget() {
	vc.endSessions(func(string, *soapSession) bool { return true })
	vc.logins.closeAllREST()
	for _, object := range vc.registry().AllReference("Task") {
		if task, ok := object.(*simulator.Task); ok && !isInner(task) {
			vc.forgetTask(task.Self)
		}
	}
}

// listenAgain opens the same port again.
func (vc *vCenter) listenAgain() {
	deadline := time.Now().Add(relistening)
	for {
		listener, err := net.Listen("tcp", vc.service.Listen.Host)
		if err == nil {
			vc.front = vc.start(tls.NewListener(listener, vc.secure), vc.gate(vc.door))
			return
		}
		if time.Now().After(deadline) {
			log.Fatalf("listening again: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
