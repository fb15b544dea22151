// Command vcenter is a vCenter double for the test bed: govmomi's simulator library behind real TLS and real
// logins, with what the simulator lacks added. FIDELITY.md, next to this directory, lists every difference.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `vcenter is a vCenter double for tests and demonstrations.

It prints one line of JSON when it is ready:
  {"url": "https://127.0.0.1:PORT", "username": …, "password": …, "caFile": …, "controlUrl": …, "users": […]}
and serves until SIGINT or SIGTERM (or the end of stdin, with -watch-stdin).

  url         SOAP at /sdk, Automation API at /api (JSON-RPC and REST), datastore files at /folder
  controlUrl  plain HTTP, for tests only: what is there, and how to disturb it; see FIDELITY.md

Example: vcenter -state-dir /tmp/vc -vms 5 -clone-ms 500

Flags:
`

type options struct {
	address    string
	control    string
	stateDir   string
	username   string
	password   string
	users      userFlags
	hosts      int
	vms        int
	datastores int
	pods       int
	clone      time.Duration
	tools      time.Duration
	latency    time.Duration

	sessionIdle time.Duration

	watchStdin bool

	payload     bool
	taskHistory time.Duration

	datastoreGB int
	clusters    int
}

// userFlags collects repeated -user name:password flags.
type userFlags []user

type user struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Roles    []role `json:"roles,omitempty"`
}

// grant takes NAME:JSON, the roles of a user that a flag before this has named.
func (u *userFlags) grant(value string) error {
	name, text, _ := strings.Cut(value, ":")
	for i := range *u {
		if (*u)[i].Username == name {
			return json.Unmarshal([]byte(text), &(*u)[i].Roles)
		}
	}
	return fmt.Errorf("want name:[{\"entity\": …, \"privileges\": […]}] after a -user of that name")
}

func (u *userFlags) String() string { return "" }

func (u *userFlags) Set(value string) error {
	name, password, found := strings.Cut(value, ":")
	if !found || name == "" || password == "" {
		return fmt.Errorf("want name:password")
	}
	*u = append(*u, user{Username: name, Password: password})
	return nil
}

func parseOptions(args []string) (options, error) {
	var o options
	var cloneMS, toolsMS, latencyMS, sessionIdleS int
	flags := flag.NewFlagSet("vcenter", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.StringVar(&o.address, "address", "127.0.0.1:0", "listen `address` for vCenter (TLS)")
	flags.StringVar(&o.control, "control-address", "127.0.0.1:0", "listen `address` for the control API (plain HTTP)")
	flags.StringVar(&o.stateDir, "state-dir", "", "`directory` for certificates and datastores; must exist; default: a temporary one")
	flags.StringVar(&o.username, "username", "administrator@vsphere.local", "main `user`")
	flags.StringVar(&o.password, "password", "testbed-Administrator-1!", "password of the main user")
	flags.Var(&o.users, "user", "a further user as `name:password`; may be repeated")
	flags.Func("roles", "the roles of a further user, as `name:json`; without them a user may do everything", o.users.grant)
	flags.IntVar(&o.hosts, "hosts", 3, "hosts in the cluster DC0_C0")
	flags.IntVar(&o.vms, "vms", 2, "virtual machines in the cluster's pool (and as many on the standalone host)")
	flags.IntVar(&o.datastores, "datastores", 0, "datastores (LocalDS_0, …), each on every host; default: 1, and 2 more for each pod")
	flags.IntVar(&o.datastoreGB, "datastore-gb", 4096, "capacity of each datastore, in GB")
	flags.IntVar(&o.clusters, "clusters", 1, "compute clusters (DC0_C0, …), each with that many hosts")
	flags.IntVar(&o.pods, "pods", 0, "datastore clusters (DC0_POD0, …); the datastores after the first are spread over them")
	flags.IntVar(&cloneMS, "clone-ms", 200, "duration of a clone, in ms")
	flags.IntVar(&toolsMS, "tools-ms", 300, "time from power-on until VMware Tools report, in ms")
	flags.IntVar(&latencyMS, "latency-ms", 0, "delay added to every call, in ms")
	flags.BoolVar(&o.payload, "payload", false, "give each of the virtual machines 100 extraConfig keys and 15 devices")
	flags.DurationVar(&o.taskHistory, "task-history", 10*time.Minute, "how long a finished task can be read")
	flags.IntVar(&sessionIdleS, "session-idle-s", 0, "end sessions that are idle for this long, in s; 0: never")
	flags.BoolVar(&o.watchStdin, "watch-stdin", false, "stop when stdin ends")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for name, n := range map[string]int{"vms": o.vms, "pods": o.pods, "datastores": o.datastores, "clone-ms": cloneMS, "tools-ms": toolsMS, "latency-ms": latencyMS,
		"session-idle-s": sessionIdleS} {
		if n < 0 {
			return o, fmt.Errorf("-%s must not be negative", name)
		}
	}
	if o.hosts < 1 || o.clusters < 1 || o.datastoreGB < 1 {
		return o, fmt.Errorf("-hosts, -clusters and -datastore-gb must be at least 1")
	}
	if o.datastores == 0 {
		o.datastores = 1 + 2*o.pods
	}
	o.clone = time.Duration(cloneMS) * time.Millisecond
	o.tools = time.Duration(toolsMS) * time.Millisecond
	o.sessionIdle = time.Duration(sessionIdleS) * time.Second
	o.latency = time.Duration(latencyMS) * time.Millisecond
	return o, nil
}

func main() {
	log.SetOutput(os.Stderr)
	log.SetPrefix("vcenter: ")
	opts, err := parseOptions(os.Args[1:])
	if err == flag.ErrHelp {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vcenter:", err)
		os.Exit(2)
	}
	if err := run(opts); err != nil {
		log.Fatal(err)
	}
}

func run(opts options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if opts.watchStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if opts.stateDir == "" {
		dir, err := os.MkdirTemp("", "vcenter-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		opts.stateDir = dir
	}
	// The simulator puts its datastores below the system's temporary directory: point that to ours.
	if err := os.Setenv("TMPDIR", opts.stateDir); err != nil {
		return err
	}
	vc, err := newVCenter(opts)
	if err != nil {
		return err
	}
	defer vc.close()
	ready, err := vc.serve()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
