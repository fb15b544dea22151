package main

import (
	"fmt"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// overrides names the methods that this double answers instead of the simulator. The object returned must have a
// method of that name (Foo_Task is FooTask).
var overrides = map[string]func(*vCenter, mo.Reference) mo.Reference{}

var overrideCount atomic.Int64

// override is the simulator's hook on every call. The simulator looks a session's object up after the hook and
// prefers it, so the call is redirected to a reference that nobody knows: then the hook's answer stands.
func (vc *vCenter) override(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	build, ok := overrides[method.Name]
	if !ok || ctx.Session == nil {
		return nil, nil
	}
	target := ctx.Session.Get(method.This)
	if target == nil {
		return nil, nil
	}
	handler := build(vc, target)
	if handler == nil {
		return nil, nil
	}
	method.This = types.ManagedObjectReference{Type: "Override", Value: fmt.Sprint(overrideCount.Add(1))}
	return handler, nil
}
