package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
)

// call is one call that a client made, as GET /calls shows it.
type call struct {
	Sequence  int       `json:"sequence"`
	Time      time.Time `json:"time"`
	Protocol  string    `json:"protocol"` // soap, rest, http, or host: files by way of a host
	Method    string    `json:"method"`
	Object    string    `json:"object,omitempty"`
	User      string    `json:"user,omitempty"`
	OpID      string    `json:"opID,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
	Status    int       `json:"status"` // HTTP status; 0 while the call is running; noAnswer
	Fault     string    `json:"fault,omitempty"`
	Injected  string    `json:"injected,omitempty"` // what a test's rule did to it
	Millis    int64     `json:"ms"`
}

const noAnswer = -1 // the status of a call whose connection was cut, or whose client has gone

// callLog keeps every call in order; sequence numbers start at 1 and survive a reset.
type callLog struct {
	mu    sync.Mutex
	next  int
	calls []*call
}

func newCallLog() *callLog { return &callLog{next: 1} }

func (l *callLog) begin(c call) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Sequence, c.Time = l.next, time.Now().UTC()
	l.next++
	l.calls = append(l.calls, &c)
	return &c
}

func (l *callLog) end(c *call, status int, fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == 0 {
		status = noAnswer
	}
	c.Status, c.Millis = status, time.Since(c.Time).Milliseconds()
	if fault != "" {
		c.Fault = fault
	}
}

// failed notes what became of a call whose answer is lost.
func (l *callLog) failed(c *call, fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Fault = fault
}

// disturbed notes what a rule does to a call.
func (l *callLog) disturbed(c *call, rule *injection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Injected = rule.When
	for word, is := range map[string]bool{" delay": rule.DelayMS > 0, " hang": rule.Hang, " cut": rule.Cut} {
		if is {
			c.Injected += word
		}
	}
	if rule.Fault != "" {
		c.Injected += " " + rule.Fault
	}
}

// since returns the calls after a sequence number that match; and forgets all of them when asked to.
func (l *callLog) since(sequence int, match func(call) bool, reset bool) []call {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := []call{}
	for _, c := range l.calls {
		if c.Sequence > sequence && match(*c) {
			found = append(found, *c)
		}
	}
	if reset {
		l.calls = nil
	}
	return found
}

// envelope is as much of a SOAP request as the log needs.
type envelope struct {
	Header struct {
		OperationID string `xml:"operationID"`
	} `xml:"Header"`
	Body struct {
		Call struct {
			XMLName xml.Name
			This    struct {
				Type  string `xml:"type,attr"`
				Value string `xml:",chardata"`
			} `xml:"_this"`
			UserName string `xml:"userName"`
		} `xml:",any"`
	} `xml:"Body"`
}

// logSOAP logs a SOAP call, delays it, lets an injected fault answer it, or passes it on.
func (vc *vCenter) logSOAP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		vc.expireSessions()
		defer vc.logins.using(cookieOf(r))()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "cannot read the request", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var env envelope
		_ = xml.Unmarshal(body, &env) // a malformed request is the simulator's to refuse
		method := env.Body.Call.XMLName.Local
		c := vc.calls.begin(call{
			Protocol: "soap", Method: method, Object: target(env), OpID: env.Header.OperationID,
			User: vc.soapUser(r, env), UserAgent: r.UserAgent(),
		})
		recorder := &recorder{ResponseWriter: w, keep: true}
		defer func() { vc.calls.end(c, recorder.status, faultName(recorder)) }()
		execute := func(w http.ResponseWriter) {
			next.ServeHTTP(w, r)
			vc.noteLogin(w, r, method, env.Body.Call.UserName)
		}
		(&exchange{vc: vc, request: r, call: c, answer: recorder, execute: execute,
			fail: func(w http.ResponseWriter, rule *injection) { answerFault(w, rule.buildFor(*c), rule.text()) },
			task: func(w http.ResponseWriter, rule *injection) {
				if !vc.answerFailingTask(w, r, *c, rule) {
					execute(w)
				}
			}}).run()
	})
}

func target(env envelope) string {
	this := env.Body.Call.This
	if this.Value == "" {
		return ""
	}
	return this.Type + ":" + strings.TrimSpace(this.Value)
}

func (vc *vCenter) soapUser(r *http.Request, env envelope) string {
	if name := vc.logins.userOf(cookieOf(r)); name != "" {
		return name
	}
	return env.Body.Call.UserName
}

func (vc *vCenter) noteLogin(w http.ResponseWriter, r *http.Request, method, name string) {
	if method != "Login" {
		return
	}
	response := http.Response{Header: w.Header()}
	for _, cookie := range response.Cookies() {
		if cookie.Name == soap.SessionCookieName {
			vc.logins.opened(cookie.Value, name, r.UserAgent())
		}
	}
}

// logHTTP logs a plain HTTP call, such as a datastore file's.
func (vc *vCenter) logHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		vc.expireSessions()
		defer vc.logins.using(cookieOf(r))()
		c := vc.calls.begin(call{Protocol: "http", Method: r.Method, Object: r.URL.Path,
			User: vc.soapUser(r, envelope{}), OpID: r.Header.Get("operationID"), UserAgent: r.UserAgent()})
		recorder := &recorder{ResponseWriter: w}
		defer func() { vc.calls.end(c, recorder.status, "") }()
		execute := func(w http.ResponseWriter) { next.ServeHTTP(w, r) }
		(&exchange{vc: vc, request: r, call: c, answer: recorder, execute: execute}).run()
	})
}

// recorder remembers the status, and the beginning of a failed answer.
type recorder struct {
	http.ResponseWriter
	keep   bool
	status int
	body   []byte
}

// Unwrap lets a connection be taken over.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.keep && r.status >= http.StatusBadRequest && len(r.body) < 4096 {
		r.body = append(r.body, p...)
	}
	return r.ResponseWriter.Write(p)
}

// faultName finds the fault's type in a failed SOAP answer: <detail><InvalidLoginFault …>.
func faultName(r *recorder) string {
	_, detail, found := bytes.Cut(r.body, []byte("<detail>"))
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(string(detail), "<"), " ")
	return strings.TrimSuffix(name, "Fault")
}
