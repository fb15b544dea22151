package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// RetrievePropertiesEx corrects what the simulator answers, see correct.
func (c *collector) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	if hidden := c.vc.firstHidden(userOf(ctx), req.SpecSet); hidden != nil {
		return &methods.RetrievePropertiesExBody{
			Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: *hidden})}
	}
	answer := c.PropertyCollector.RetrievePropertiesEx(ctx, req)
	if body, ok := answer.(*methods.RetrievePropertiesExBody); ok && body.Res != nil && body.Res.Returnval != nil {
		body.Res.Returnval.Objects = c.vc.trimmed(
			userOf(ctx), req.SpecSet, c.correct(body.Res.Returnval.Objects))
	}
	return answer
}

// ContinueRetrievePropertiesEx corrects further pages.
func (c *collector) ContinueRetrievePropertiesEx(
	ctx *simulator.Context, req *types.ContinueRetrievePropertiesEx,
) soap.HasFault {
	answer := c.PropertyCollector.ContinueRetrievePropertiesEx(ctx, req)
	if body, ok := answer.(*methods.ContinueRetrievePropertiesExBody); ok && body.Res != nil {
		body.Res.Returnval.Objects = c.vc.trimmed(userOf(ctx), nil, c.correct(body.Res.Returnval.Objects))
	}
	return answer
}

// RetrieveProperties is the old form without pages.
func (c *collector) RetrieveProperties(ctx *simulator.Context, req *types.RetrieveProperties) soap.HasFault {
	body := new(methods.RetrievePropertiesBody)
	answer := c.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{This: req.This, SpecSet: req.SpecSet})
	if fault := answer.Fault(); fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RetrievePropertiesResponse{
		Returnval: answer.(*methods.RetrievePropertiesExBody).Res.Returnval.Objects}
	return body
}

// correct hides the configuration of VMs that a clone is just making, the simulator's inner tasks, and an entity of a
// task that is none: the API says that TaskInfo.entity is a ManagedEntity, the simulator also puts managers there.
func (c *collector) correct(contents []types.ObjectContent) []types.ObjectContent {
	visible := contents[:0:0]
	for _, content := range contents {
		if content.Obj.Type == "Task" {
			if c.vc.hides(content.Obj) {
				continue
			}
			correctTask(&content)
		}
		for i := range content.PropSet {
			if content.PropSet[i].Name == "recentTask" {
				content.PropSet[i].Val = c.vc.visibleTasks(content.PropSet[i].Val)
			}
		}
		if hidden := c.vc.hidesOf(content.Obj); len(hidden) > 0 {
			content.PropSet = slices.DeleteFunc(slices.Clone(content.PropSet),
				func(property types.DynamicProperty) bool { return isBelow(hidden, property.Name) })
		}
		visible = append(visible, content)
	}
	return visible
}

func isBelow(prefixes []string, path string) bool {
	for _, prefix := range prefixes {
		if path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[") {
			return true
		}
	}
	return false
}

func correctTask(content *types.ObjectContent) {
	properties := content.PropSet[:0:0]
	for _, property := range content.PropSet {
		switch value := property.Val.(type) {
		case types.TaskInfo:
			if value.Entity != nil && !isEntity(*value.Entity) {
				value.Entity = nil
			}
			value.Name = methodName(value.Name)
			property.Val = value
		case string:
			if property.Name == "info.name" {
				property.Val = methodName(value)
			}
		case types.ManagedObjectReference:
			if property.Name == "info.entity" && !isEntity(value) {
				continue
			}
		}
		properties = append(properties, property)
	}
	content.PropSet = properties
}

// methodName is TaskInfo.name as a vCenter has it, the name of a method of the API; the simulator names its tasks in
// its own way, and clients cannot make methods of that.
func methodName(name string) string {
	switch {
	case name == "" || strings.HasSuffix(name, "_Task"):
		return name
	case name == "RevertSnapshot":
		return "RevertToCurrentSnapshot_Task"
	case strings.HasSuffix(name, "Vm"):
		name = strings.TrimSuffix(name, "Vm") + "VM"
	}
	return name + "_Task"
}

func isEntity(ref types.ManagedObjectReference) bool {
	return ref.Type != nobody && !strings.HasSuffix(ref.Type, "Manager") && !strings.HasSuffix(ref.Type, "Browser")
}

// FetchResponse answers Fetch, which is how pyVmomi reads a single property. Its name is the element's.
type FetchResponse struct {
	Returnval types.AnyType `xml:"returnval,omitempty,typeattr"`
}

type fetchBody struct {
	Res    *FetchResponse `xml:"FetchResponse,omitempty"`
	Fault_ *soap.Fault
}

func (b *fetchBody) Fault() *soap.Fault { return b.Fault_ }

// Fetch answers an unset property with nothing; the simulator's answer to that is one that pyVmomi cannot read.
// The request's type is internal to the simulator, hence the reflection.
func (c *collector) Fetch(ctx *simulator.Context, request any) soap.HasFault {
	fields := reflect.ValueOf(request).Elem()
	this := fields.FieldByName("This").Interface().(types.ManagedObjectReference)
	property := fields.FieldByName("Prop").String()
	if this == vim25.ServiceInstance {
		arguments := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(request)}
		return reflect.ValueOf(&c.PropertyCollector).MethodByName("Fetch").Call(arguments)[0].Interface().(soap.HasFault)
	}
	answer := c.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{SpecSet: []types.PropertyFilterSpec{{
		PropSet:   []types.PropertySpec{{Type: this.Type, PathSet: []string{property}}},
		ObjectSet: []types.ObjectSpec{{Obj: this}},
	}}})
	if fault := answer.Fault(); fault != nil {
		return &fetchBody{Fault_: fault}
	}
	return fetched(answer.(*methods.RetrievePropertiesExBody).Res.Returnval)
}

func fetched(result *types.RetrieveResult) *fetchBody {
	body := &fetchBody{Res: new(FetchResponse)}
	for _, content := range result.Objects {
		for _, property := range content.PropSet {
			body.Res.Returnval = property.Val
		}
		if len(content.PropSet) == 0 && len(content.MissingSet) > 0 {
			return &fetchBody{Fault_: simulator.Fault("", content.MissingSet[0].Fault.Fault)}
		}
	}
	return body
}
