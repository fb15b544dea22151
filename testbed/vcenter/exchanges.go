package main

import (
	"io"
	"net"
	"net/http"
)

// exchange is one call and its answer, whatever the protocol. It goes well unless a rule says otherwise.
type exchange struct {
	vc      *vCenter
	request *http.Request
	call    *call
	answer  *recorder
	execute func(w http.ResponseWriter)               // does what was asked for, and answers
	fail    func(w http.ResponseWriter, i *injection) // answers with the rule's fault; nothing for an HTTP status
	task    func(w http.ResponseWriter, i *injection) // answers with a task that fails, or executes
}

// run carries the call out.
func (e *exchange) run() {
	e.vc.disturb.delay(e.call.Method)
	rule := e.vc.disturb.take(*e.call)
	if rule == nil {
		e.execute(e.answer)
		return
	}
	e.vc.calls.disturbed(e.call, rule)
	switch rule.When {
	case inTask: // only SOAP has tasks
		e.task(e.answer, rule)
	case afterCall:
		e.runThenFail(rule)
	default:
		e.failFirst(rule)
	}
}

func (e *exchange) failFirst(rule *injection) {
	rest := e.request.Body
	if rule.AfterBytes > 0 {
		e.takePart(rule)
	}
	if !e.vc.disturb.wait(e.request.Context(), rule, e.call.Sequence) {
		return
	}
	switch {
	case rule.Cut:
		e.cut()
	case rule.Fault != "":
		_, _ = io.Copy(io.Discard, rest) // a client that still writes does not read
		e.answerFault(rule)
	default:
		e.execute(e.answer)
	}
}

// takePart takes the beginning of an upload, and keeps it if the rule says so.
func (e *exchange) takePart(rule *injection) {
	part := io.LimitReader(e.request.Body, rule.AfterBytes)
	if !rule.Partial {
		_, _ = io.Copy(io.Discard, part)
		return
	}
	whole := e.request.Body
	e.request.Body = io.NopCloser(part)
	e.execute(newUnsent())
	e.request.Body = whole
}

func (e *exchange) runThenFail(rule *injection) {
	unsent := newUnsent()
	e.execute(unsent)
	if e.call.Protocol == "soap" && unsent.status >= http.StatusBadRequest {
		e.vc.calls.failed(e.call, faultName(&recorder{body: unsent.body}))
	}
	if !e.vc.disturb.wait(e.request.Context(), rule, e.call.Sequence) {
		return
	}
	switch {
	case rule.Cut:
		e.cut()
	case rule.Fault != "":
		e.answerFault(rule)
	default:
		unsent.send(e.answer)
	}
}

func (e *exchange) answerFault(rule *injection) {
	code := status(rule.Fault)
	if code == 0 && e.fail == nil {
		code = http.StatusInternalServerError
	}
	if code != 0 {
		http.Error(e.answer, http.StatusText(code), code)
		return
	}
	e.fail(e.answer, rule)
}

// cut resets the connection: the client gets no answer, not even an end.
func (e *exchange) cut() {
	e.answer.status = noAnswer
	connection, _, err := http.NewResponseController(e.answer).Hijack()
	if err != nil {
		return
	}
	if secure, ok := connection.(interface{ NetConn() net.Conn }); ok {
		connection = secure.NetConn() // past TLS, which would say good-bye
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// unsent is an answer that is ready and perhaps never sent.
type unsent struct {
	header http.Header
	status int
	body   []byte
}

func newUnsent() *unsent { return &unsent{header: http.Header{}, status: http.StatusOK} }

func (u *unsent) Header() http.Header { return u.header }

func (u *unsent) WriteHeader(status int) { u.status = status }

func (u *unsent) Write(p []byte) (int, error) {
	u.body = append(u.body, p...)
	return len(p), nil
}

func (u *unsent) send(w http.ResponseWriter) {
	for name, values := range u.header {
		w.Header()[name] = values
	}
	w.WriteHeader(u.status)
	_, _ = w.Write(u.body)
}
