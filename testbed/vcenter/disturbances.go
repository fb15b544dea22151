package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// disturbances delay calls and let some of them go wrong, as a test asked for through the control API.
type disturbances struct {
	mu       sync.Mutex
	latency  time.Duration
	methods  map[string]time.Duration
	rules    []*injection
	hanging  []int         // sequence numbers of the calls that hang
	released chan struct{} // closed when all of them may go on
}

// When a rule takes effect, in the life of the call that it is for.
const (
	beforeCall = "before" // the call is not executed, unless the rule only delays it
	afterCall  = "after"  // the call is executed in full, and its answer is lost
	inTask     = "task"   // the call returns a task, which does nothing and ends in the fault
)

// injection is a rule: which calls it is for, and what goes wrong with them. A rule first waits (DelayMS, Hang), then
// answers with a fault or cuts the connection; with neither the call goes on.
type injection struct {
	Method   string `json:"method"`             // a name, or a pattern such as "*" or "Power*"
	Object   string `json:"object,omitempty"`   // "VirtualMachine:vm-7", "vm-7", a path below /folder; or a pattern
	User     string `json:"user,omitempty"`     // a name
	Protocol string `json:"protocol,omitempty"` // soap, rest, http, or host: files by way of a host
	OpID     string `json:"opID,omitempty"`     // what the client calls the operation, or a pattern

	Skip  int `json:"skip,omitempty"` // calls to let pass first
	Count int `json:"count"`          // calls that it is for; -1: all, until it is cleared

	When    string `json:"when"`
	DelayMS int    `json:"delayMs,omitempty"`
	Hang    bool   `json:"hang,omitempty"`
	Cut     bool   `json:"cut,omitempty"`
	faultSpec

	AfterBytes int64 `json:"afterBytes,omitempty"` // of an upload: what is taken before it goes wrong
	Partial    bool  `json:"partial,omitempty"`    // and stays there as a file
}

func newDisturbances(latency time.Duration) *disturbances {
	return &disturbances{latency: latency, methods: map[string]time.Duration{}, released: make(chan struct{})}
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
	if err := i.check(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = append(d.rules, &i)
	return nil
}

// check completes a rule, or says what is wrong with it.
func (i *injection) check() error {
	if i.When == "" {
		i.When = beforeCall
	}
	if i.Method == "" || i.Count < 1 && i.Count != -1 || i.Skip < 0 || i.DelayMS < 0 || i.AfterBytes < 0 {
		return fmt.Errorf("want a method and a count of at least 1, or -1; no other number may be negative")
	}
	for _, pattern := range []string{i.Method, i.Object, i.OpID} {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%q is no pattern", pattern)
		}
	}
	if !slices.Contains([]string{beforeCall, afterCall, inTask}, i.When) {
		return fmt.Errorf("when is %s, %s or %s", beforeCall, afterCall, inTask)
	}
	if !i.Cut && i.Fault == "" && i.DelayMS == 0 && !i.Hang {
		return fmt.Errorf("want one of fault, cut, delayMs, hang")
	}
	if i.Cut && i.Fault != "" {
		return fmt.Errorf("a call that is cut has no answer: leave out the fault")
	}
	if i.When == inTask && (i.Fault == "" || i.Hang || !strings.HasSuffix(i.Method, "_Task")) {
		return fmt.Errorf("in a task: want a fault, no hang, and a method that ends in _Task")
	}
	if i.Fault == "" {
		return nil
	}
	return i.checkFault()
}

// checkFault refuses what clients of the protocol could never get.
func (i *injection) checkFault() error {
	if status(i.Fault) != 0 && i.When != inTask {
		return nil
	}
	if strings.HasPrefix(i.Method, "com.vmware.") || i.Protocol == "rest" {
		if !slices.Contains(apiErrors, i.Fault) {
			return fmt.Errorf("%q is none of %s", i.Fault, strings.Join(apiErrors, ", "))
		}
		return nil
	}
	if i.Protocol == "http" || i.Protocol == "host" || strings.Contains(i.Method, "/folder") {
		return fmt.Errorf("want an HTTP status, such as 500")
	}
	_, err := i.faultSpec.build()
	return err
}

func (i *injection) matches(c call) bool {
	matches := func(pattern string, names ...string) bool {
		return pattern == "" || slices.ContainsFunc(names, func(name string) bool {
			found, _ := path.Match(pattern, name)
			return found || pattern == "*" || pattern == name
		})
	}
	_, id, _ := strings.Cut(c.Object, ":")
	names := []string{c.Method}
	if c.Protocol == "http" || c.Protocol == "host" {
		names = append(names, c.Method+" /folder")
	}
	return matches(i.Method, names...) && matches(i.Object, c.Object, id) && matches(i.OpID, c.OpID) &&
		(i.User == "" || i.User == c.User) && (i.Protocol == "" || i.Protocol == c.Protocol)
}

// take returns the rule for a call, or nil. The first that matches counts; one that lets the call pass lets the next
// ones have a look.
func (d *disturbances) take(c call) *injection {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range d.rules {
		switch {
		case i.Count == 0 || !i.matches(c):
		case i.Skip > 0:
			i.Skip--
		default:
			if i.Count > 0 {
				i.Count--
			}
			taken := *i
			return &taken
		}
	}
	return nil
}

// wait is the rule's delay, or its hanging; false when the client has gone away before a hanging call was released.
func (d *disturbances) wait(ctx context.Context, i *injection, sequence int) bool {
	time.Sleep(time.Duration(i.DelayMS) * time.Millisecond)
	if !i.Hang {
		return true
	}
	d.mu.Lock()
	released := d.released
	d.hanging = append(d.hanging, sequence)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hanging = slices.DeleteFunc(d.hanging, func(other int) bool { return other == sequence })
	}()
	select {
	case <-released:
		return true
	case <-ctx.Done():
		return false
	}
}

// release lets the calls that hang go on.
func (d *disturbances) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.released)
	d.released = make(chan struct{})
}

// clear forgets all rules, and lets the calls that hang go on.
func (d *disturbances) clear() {
	d.mu.Lock()
	d.rules = nil
	d.mu.Unlock()
	d.release()
}

// forget drops the rules for an opID, as they name it; what hangs goes on hanging.
func (d *disturbances) forget(opID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = slices.DeleteFunc(d.rules, func(i *injection) bool { return i.OpID == opID })
}

// overview is what GET /faults shows.
func (d *disturbances) overview() any {
	d.mu.Lock()
	defer d.mu.Unlock()
	rules := []injection{}
	for _, i := range d.rules {
		rules = append(rules, *i)
	}
	return map[string]any{"rules": rules, "hanging": append([]int{}, d.hanging...)}
}
