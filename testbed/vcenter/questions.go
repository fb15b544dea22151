package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The question that a VM asks before it takes a CD away from a guest that uses it.
const (
	cdromQuestion = "msg.cdromdisconnect.locked"
	cdromText     = "The guest operating system has locked the CD-ROM door and is probably using the CD-ROM, " +
		"which can prevent the guest from recognizing media changes. If possible, eject the CD-ROM from inside " +
		"the guest before disconnecting. Disconnect anyway and override the lock?"
	cdromSilencer = "cdrom.showIsoLockWarning"
	answerYes     = "0"
	patience      = 4 * time.Minute // until vCenter gives up on an answer
)

var questionCount atomic.Int32

// questions are those that VMs have asked and nobody has answered.
type questions struct {
	mu      sync.Mutex
	locked  map[types.ManagedObjectReference]bool // guests that use their CD
	waiting map[types.ManagedObjectReference]*question
}

type question struct {
	info   types.VirtualMachineQuestionInfo
	answer chan string // nil when no task waits for it
}

func newQuestions() *questions {
	return &questions{
		locked:  map[types.ManagedObjectReference]bool{},
		waiting: map[types.ManagedObjectReference]*question{},
	}
}

func (q *questions) setLocked(ref types.ManagedObjectReference, locked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.locked[ref] = locked
}

// newQuestion has the keys 0, 1, … for its choices; the last one is the default.
func newQuestion(id, text string, choices []string) *question {
	q := &question{info: types.VirtualMachineQuestionInfo{
		Id:      fmt.Sprint(questionCount.Add(1)),
		Text:    text,
		Message: []types.VirtualMachineMessage{{Id: id, Text: text}},
	}}
	for i, label := range choices {
		q.info.Choice.ChoiceInfo = append(q.info.Choice.ChoiceInfo, &types.ElementDescription{
			Description: types.Description{Label: label, Summary: label}, Key: fmt.Sprint(i)})
	}
	q.info.Choice.DefaultIndex = int32(len(choices) - 1)
	return q
}

// ask shows a question; false when the VM has asked another one.
func (vc *vCenter) ask(vm *simulator.VirtualMachine, q *question) bool {
	vc.questions.mu.Lock()
	_, busy := vc.questions.waiting[vm.Self]
	if !busy {
		vc.questions.waiting[vm.Self] = q
	}
	vc.questions.mu.Unlock()
	if busy {
		return false
	}
	info := q.info
	showQuestion(vc.newContext(), vm, &info)
	return true
}

func showQuestion(ctx *simulator.Context, vm *simulator.VirtualMachine, info *types.VirtualMachineQuestionInfo) {
	ctx.AutoUpdate(vm, func() {
		vm.Runtime.Question = info
		vm.Summary.Runtime.Question = info
	})
}

// dropQuestion ends a question that the VM's power-off has answered.
func (vc *vCenter) dropQuestion(vm *simulator.VirtualMachine) {
	if q, asked := vc.settle(vc.newContext(), vm); asked && q.answer != nil {
		q.answer <- answerYes
	}
}

// settle takes a question away, and returns it.
func (vc *vCenter) settle(ctx *simulator.Context, vm *simulator.VirtualMachine) (*question, bool) {
	vc.questions.mu.Lock()
	q, asked := vc.questions.waiting[vm.Self]
	delete(vc.questions.waiting, vm.Self)
	vc.questions.mu.Unlock()
	if asked {
		showQuestion(ctx, vm, nil)
	}
	return q, asked
}

// AnswerVM lets the task go on that waits for the answer. The simulator does not know the method.
func (vm *virtualMachine) AnswerVM(ctx *simulator.Context, req *types.AnswerVM) soap.HasFault {
	body := new(methods.AnswerVMBody)
	vm.vc.questions.mu.Lock()
	q, asked := vm.vc.questions.waiting[vm.Self]
	vm.vc.questions.mu.Unlock()
	known := asked && q.info.Id == req.QuestionId && slices.ContainsFunc(q.info.Choice.ChoiceInfo,
		func(choice types.BaseElementDescription) bool {
			return choice.GetElementDescription().Key == req.AnswerChoice
		})
	if !known {
		body.Fault_ = simulator.Fault("", new(types.InvalidArgument))
		return body
	}
	vm.vc.settle(ctx, vm.VirtualMachine)
	if q.answer != nil {
		q.answer <- req.AnswerChoice
	}
	body.Res = new(types.AnswerVMResponse)
	return body
}

// askBeforeEject waits for an answer when a reconfiguration takes a CD away from a guest that uses it.
func (vc *vCenter) askBeforeEject(
	vm *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec,
) types.BaseMethodFault {
	vc.questions.mu.Lock()
	locked := vc.questions.locked[vm.Self]
	vc.questions.mu.Unlock()
	var label string
	var running, silent bool
	vc.newContext().WithLock(vm, func() {
		running = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		silent = strings.EqualFold(extraConfig(&vm.VirtualMachine, cdromSilencer), "FALSE")
		label = ejected(vm.Config.Hardware.Device, changes)
	})
	if !locked || !running || silent || label == "" {
		return nil
	}
	q := newQuestion(cdromQuestion, cdromText, []string{"Yes", "No"})
	q.answer = make(chan string, 1)
	failed := &types.GenericVmConfigFault{
		Reason: fmt.Sprintf("Connection control operation failed for disk '%s'.", label)}
	if !vc.ask(vm, q) {
		return failed
	}
	select {
	case answer := <-q.answer:
		if answer == answerYes {
			return nil
		}
	case <-time.After(patience):
		vc.settle(vc.newContext(), vm)
	}
	return failed
}

// ejected names the first connected ISO image that is taken away or exchanged, as ide1:0 or sata0:1.
func ejected(devices object.VirtualDeviceList, changes []types.BaseVirtualDeviceConfigSpec) string {
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		wanted, ok := spec.Device.(*types.VirtualCdrom)
		if !ok || spec.Operation == types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		current, ok := devices.FindByKey(wanted.Key).(*types.VirtualCdrom)
		if !ok || current.Connectable == nil || !current.Connectable.Connected {
			continue
		}
		before, ok := current.Backing.(*types.VirtualCdromIsoBackingInfo)
		if !ok {
			continue
		}
		after, same := wanted.Backing.(*types.VirtualCdromIsoBackingInfo)
		stays := same && after.FileName == before.FileName &&
			(wanted.Connectable == nil || wanted.Connectable.Connected)
		if spec.Operation == types.VirtualDeviceConfigSpecOperationRemove || !stays {
			unit := int32(0)
			if current.UnitNumber != nil {
				unit = *current.UnitNumber
			}
			return fmt.Sprintf("ide%d:%d", current.ControllerKey%100, unit)
		}
	}
	return ""
}
