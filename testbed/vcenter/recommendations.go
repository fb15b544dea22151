package main

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	defaultKeyTime = 5 * time.Minute
	longestLease   = 5 * time.Minute
)

// recommendations are those that Storage DRS has given and can still apply, and the space that it holds for them.
type recommendations struct {
	mu      sync.Mutex
	last    int
	open    map[string]*recommendation
	leases  map[*lease]bool
	moves   map[types.ManagedObjectReference]string // pod -> podChange.Moves
	keyTime time.Duration
}

// recommendation is what applying a key does.
type recommendation struct {
	spec    types.StoragePlacementSpec
	pod     types.ManagedObjectReference
	target  types.ManagedObjectReference
	moves   []*types.StorageMigrationAction
	lease   *lease // shared by all of one request
	expires time.Time
}

// lease holds space on one datastore.
type lease struct {
	datastore types.ManagedObjectReference
	bytes     int64
	expires   time.Time
}

// configure changes how recommendations are made from now on.
func (r *recommendations) configure(pod types.ManagedObjectReference, change podChange) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if change.Moves != nil {
		if !slices.Contains([]string{"", "first", "all"}, *change.Moves) {
			return fmt.Errorf("moves must be \"\", \"first\" or \"all\"")
		}
		if r.moves == nil {
			r.moves = map[types.ManagedObjectReference]string{}
		}
		r.moves[pod] = *change.Moves
	}
	if change.KeySeconds != nil {
		r.keyTime = time.Duration(*change.KeySeconds) * time.Second
	}
	return nil
}

func (r *recommendations) movesOf(pod types.ManagedObjectReference) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moves[pod]
}

// add keeps one request's recommendations, best first, and returns their keys. A lease holds space on the best one's
// datastore.
func (r *recommendations) add(list []*recommendation, bytes int64, seconds int32) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.forgetOld(now)
	var held *lease
	if seconds > 0 && len(list) > 0 {
		duration := min(time.Duration(seconds)*time.Second, longestLease)
		held = &lease{datastore: list[0].target, bytes: bytes, expires: now.Add(duration)}
		if r.leases == nil {
			r.leases = map[*lease]bool{}
		}
		r.leases[held] = true
	}
	if r.open == nil {
		r.open = map[string]*recommendation{}
	}
	keys := make([]string, len(list))
	for i, one := range list {
		r.last++
		keys[i] = strconv.Itoa(r.last)
		one.lease, one.expires = held, now.Add(r.keyTime)
		r.open[keys[i]] = one
	}
	return keys
}

func (r *recommendations) forgetOld(now time.Time) {
	for key, one := range r.open {
		if now.After(one.expires) {
			delete(r.open, key)
		}
	}
	for held := range r.leases {
		if now.After(held.expires) {
			delete(r.leases, held)
		}
	}
}

// take removes a recommendation so that it is applied only once; nil when there is none of that key any more. The
// lease moves along to the datastore that is used.
func (r *recommendations) take(key string) *recommendation {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetOld(time.Now())
	one := r.open[key]
	delete(r.open, key)
	if one != nil && one.lease != nil {
		one.lease.datastore = one.target
	}
	return one
}

// peek looks at a recommendation without applying it.
func (r *recommendations) peek(key string) *recommendation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[key]
}

func (r *recommendations) release(held *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases, held)
}

// held returns how much of a datastore is promised to others than `except`.
func (r *recommendations) held(datastore types.ManagedObjectReference, except *lease) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetOld(time.Now())
	var sum int64
	for one := range r.leases {
		if one != except && one.datastore == datastore {
			sum += one.bytes
		}
	}
	return sum
}
