package main

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

// logins knows the users, and the sessions of the Automation API. SOAP sessions are the simulator's; who opened
// them is remembered here by cookie.
type logins struct {
	passwords map[string]string

	mu   sync.Mutex
	soap map[string]string // cookie -> user
	rest map[string]*restSession
}

type restSession struct {
	User         string    `json:"user"`
	Created      time.Time `json:"created"`
	LastAccessed time.Time `json:"lastAccessed"`
}

func newLogins(opts options) *logins {
	l := &logins{
		passwords: map[string]string{opts.username: opts.password},
		soap:      map[string]string{},
		rest:      map[string]*restSession{},
	}
	for _, u := range opts.users {
		l.passwords[u.Username] = u.Password
	}
	return l
}

func (l *logins) valid(name, password string) bool {
	want, known := l.passwords[name]
	return known && want == password
}

func (l *logins) validSOAP(req *types.Login) bool { return l.valid(req.UserName, req.Password) }

func (l *logins) opened(cookie, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.soap[cookie] = name
}

func (l *logins) userOf(cookie string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.soap[cookie]
}

func (l *logins) openREST(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	token := uuid.NewString()
	l.rest[token] = &restSession{User: name, Created: time.Now().UTC(), LastAccessed: time.Now().UTC()}
	return token
}

// useREST returns the session behind a token, and notes that it was used.
func (l *logins) useREST(token string) (restSession, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	session, ok := l.rest[token]
	if !ok {
		return restSession{}, false
	}
	session.LastAccessed = time.Now().UTC()
	return *session, true
}

func (l *logins) closeREST(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rest, token)
}

// restSessions lists the users of the open Automation API sessions.
func (l *logins) restSessions() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := make([]string, 0, len(l.rest))
	for _, session := range l.rest {
		users = append(users, session.User)
	}
	return users
}

// soapSessions returns who opened which SOAP session, closed ones included.
func (l *logins) soapSessions() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.soap)
}
