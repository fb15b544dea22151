package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// resourcePool answers for a resource pool; what it does not override is the simulator's.
type resourcePool struct {
	*simulator.ResourcePool
	vc *vCenter
}

func overrideResourcePool(vc *vCenter, object mo.Reference) mo.Reference {
	if p, ok := object.(*simulator.ResourcePool); ok {
		return &resourcePool{p, vc}
	}
	return nil
}

// CreateResourcePool shows the new pool in views. The simulator announces it before its parent lists it, so that no
// view finds it below its container.
func (p *resourcePool) CreateResourcePool(ctx *simulator.Context, req *types.CreateResourcePool) soap.HasFault {
	answer := p.ResourcePool.CreateResourcePool(ctx, req)
	body, ok := answer.(*methods.CreateResourcePoolBody)
	if ok && body.Res != nil {
		registry := p.vc.registry()
		registry.Put(registry.Get(body.Res.Returnval))
	}
	return answer
}
