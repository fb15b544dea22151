package main

import (
	"context"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// logins knows the users, and who has which session. The SOAP sessions themselves are the simulator's.
type logins struct {
	passwords map[string]string

	mu   sync.Mutex
	idle idleTimes
	soap map[string]*soapSession // by cookie; closed ones stay, so that the log can name who uses one
	rest map[string]*restSession // by token
}

// idleTimes are how long a session may be unused; 0: for ever.
type idleTimes struct{ soap, rest time.Duration }

type soapSession struct {
	user      string
	userAgent string
	lastUsed  time.Time
	running   int                // calls; a session with one is not idle
	session   *simulator.Session // unknown until the first call after the login
	closed    bool
}

type restSession struct {
	User         string
	UserAgent    string
	Created      time.Time
	LastAccessed time.Time
}

func newLogins(opts options) *logins {
	l := &logins{
		passwords: map[string]string{opts.username: opts.password},
		soap:      map[string]*soapSession{},
		rest:      map[string]*restSession{},
		idle:      idleTimes{opts.sessionIdle, opts.sessionIdle},
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

func (l *logins) setIdle(idle idleTimes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = idle
}

func (l *logins) opened(cookie, name, agent string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.soap[cookie] = &soapSession{user: name, userAgent: agent, lastUsed: time.Now()}
}

// bind notes the simulator's own idea of a session.
func (l *logins) bind(session *simulator.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.soap[session.Key]; ok {
		s.session = session
	}
}

func (l *logins) userOf(cookie string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.soap[cookie]; ok {
		return s.user
	}
	return ""
}

// using notes that a call uses a session; the function that it returns, that the call is over.
func (l *logins) using(cookie string) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.soap[cookie]
	if !ok {
		return func() {}
	}
	s.running++
	s.lastUsed = time.Now()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		s.running--
		s.lastUsed = time.Now()
	}
}

// closeSOAP takes sessions that are open, and that match, off the books, and returns them by cookie.
func (l *logins) closeSOAP(match func(cookie string, s *soapSession) bool) map[string]*soapSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[string]*soapSession{}
	for cookie, s := range l.soap {
		if !s.closed && match(cookie, s) {
			s.closed = true
			taken[cookie] = s
		}
	}
	return taken
}

func (l *logins) openREST(name, agent string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	token := uuid.NewString()
	now := time.Now().UTC()
	l.rest[token] = &restSession{User: name, UserAgent: agent, Created: now, LastAccessed: now}
	return token
}

// useREST returns the session behind a token, and notes that it was used.
func (l *logins) useREST(token string) (restSession, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireREST()
	session, ok := l.rest[token]
	if !ok {
		return restSession{}, false
	}
	session.LastAccessed = time.Now().UTC()
	return *session, true
}

// expireREST drops idle sessions. The caller holds mu.
func (l *logins) expireREST() {
	for token, session := range l.rest {
		if l.idle.rest > 0 && time.Since(session.LastAccessed) > l.idle.rest {
			delete(l.rest, token)
		}
	}
}

func (l *logins) closeREST(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rest, token)
}

func (l *logins) closeAllREST() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.rest)
}

// sessionGroup is how many sessions of one kind a user has.
type sessionGroup struct {
	User      string `json:"user"`
	Protocol  string `json:"protocol"`
	UserAgent string `json:"userAgent"`
	Count     int    `json:"count"`
}

// cookieOf returns the id of a request's SOAP session; pyVmomi sends it in quotes.
func cookieOf(r *http.Request) string {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return ""
	}
	return strings.Trim(cookie.Value, `"`)
}

// liveUser returns who is logged in to the request's SOAP session, "" when there is none.
func (vc *vCenter) liveUser(r *http.Request) string {
	id := cookieOf(r)
	if name := vc.logins.userOf(id); name != "" && vc.isActive(id, name) {
		return name
	}
	return ""
}

func (vc *vCenter) isActive(id, name string) bool {
	answer, err := methods.SessionIsActive(context.Background(), vc.client, &types.SessionIsActive{
		This: *vc.client.ServiceContent.SessionManager, SessionID: id, UserName: name})
	return err == nil && answer.Returnval
}

// endSessions ends SOAP sessions as an administrator does: with their views, filters and waits.
func (vc *vCenter) endSessions(match func(cookie string, s *soapSession) bool) {
	manager := vc.registry().SessionManager()
	for cookie, s := range vc.logins.closeSOAP(match) {
		if s.session != nil {
			vc.abandon(s.session)
		}
		manager.TerminateSession(vc.newContext(), &types.TerminateSession{SessionId: []string{cookie}})
	}
}

// abandon ends the waits of a session and stops its views.
func (vc *vCenter) abandon(session *simulator.Session) {
	ctx := &simulator.Context{Context: context.Background(), Session: session, Map: vc.registry()}
	closeCollectors(ctx)
	for _, object := range session.Registry.AllReference("") {
		if handler, ok := object.(simulator.RegisterObject); ok {
			vc.registry().RemoveHandler(handler)
		}
	}
}

// abandonOthers ends the waits of sessions that an administrator terminates.
func (vc *vCenter) abandonOthers(ctx *simulator.Context, ids []string) {
	for id, s := range vc.logins.openSOAP() {
		if s.session != nil && slices.Contains(ids, id) && (ctx.Session == nil || ctx.Session.Key != id) {
			vc.abandon(s.session)
		}
	}
}

// expireSessions ends the SOAP sessions that were idle for too long.
func (vc *vCenter) expireSessions() {
	vc.logins.mu.Lock()
	limit := vc.logins.idle.soap
	vc.logins.mu.Unlock()
	if limit == 0 {
		return
	}
	vc.endSessions(func(_ string, s *soapSession) bool {
		return s.running == 0 && time.Since(s.lastUsed) > limit
	})
}

// sessionGroups lists the open sessions.
func (vc *vCenter) sessionGroups() []sessionGroup {
	vc.expireSessions()
	counts := map[sessionGroup]int{}
	for id, s := range vc.logins.openSOAP() {
		if vc.isActive(id, s.user) {
			counts[sessionGroup{User: s.user, Protocol: "soap", UserAgent: s.userAgent}]++
		}
	}
	for _, s := range vc.logins.openRESTs() {
		counts[sessionGroup{User: s.User, Protocol: "rest", UserAgent: s.UserAgent}]++
	}
	groups := []sessionGroup{}
	for group, count := range counts {
		group.Count = count
		groups = append(groups, group)
	}
	sort.Slice(groups, func(i, j int) bool {
		a, b := groups[i], groups[j]
		return a.User+"\x00"+a.Protocol+"\x00"+a.UserAgent < b.User+"\x00"+b.Protocol+"\x00"+b.UserAgent
	})
	return groups
}

func (l *logins) openSOAP() map[string]soapSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[string]soapSession{}
	for cookie, s := range l.soap {
		if !s.closed {
			open[cookie] = *s
		}
	}
	return open
}

func (l *logins) openRESTs() []restSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireREST()
	var open []restSession
	for _, s := range l.rest {
		open = append(open, *s)
	}
	return open
}
