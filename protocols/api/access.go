package api

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"weir/protocols/listen"
)

// Credentials are a user and a password with which a node can be seen or changed.
type Credentials struct{ User, Password string }

// errNotHere answers a change that comes from an address from which none is accepted.
var errNotHere = &problem{status: http.StatusForbidden, text: "without edit_auth in the file, changes are accepted from this machine only, and neither through a proxy nor from another port"}

// Access says who may see a node and who may change it. Any goroutine may use it.
type Access struct {
	Edit, View *Credentials    // as in [Options]
	Guesses    *listen.Guesses // slows wrong credentials down; nil: nothing does
}

// allows says whether a request may do what needs a permission.
func (a *Access) allows(r *http.Request, p permission) error {
	switch p {
	case change:
		return a.mayEdit(r)
	case see:
		return a.maySee(r)
	}
	return nil
}

// mayEdit says whether a request may change the node, or read what only those may read who may change it. With credentials it
// has to carry them, wherever it comes from. Without, it has to come from this machine: not from a page that a browser here
// shows, under whatever name, and not through a proxy that runs here, as far as a proxy can be told. A browser adds credentials to what any page makes it send, so
// pages of other origins are refused in both cases.
func (a *Access) mayEdit(r *http.Request) error {
	asked := *r
	asked.Method = http.MethodPost // the protection lets every GET through
	if err := http.NewCrossOriginProtection().Check(&asked); err != nil {
		return &problem{status: http.StatusForbidden, text: err.Error()}
	}
	if a.Edit != nil {
		return a.carried(r, "edit_auth is required", a.Edit)
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() || !localName(r.Host) || !listen.Direct(r) {
		return errNotHere
	}
	return nil
}

// MayEdit says whether a request may change the node, and MaySee whether it may see what is not for everybody, where that is
// beside this API. The error, if there is one, is for the client, with the status that goes with it.
func (a *Access) MayEdit(r *http.Request) (status int, err error) { return statusOf(a.mayEdit(r)) }

// MaySee is described at [Access.MayEdit].
func (a *Access) MaySee(r *http.Request) (status int, err error) {
	return statusOf(a.maySee(r))
}

func statusOf(err error) (int, error) {
	var p *problem
	if errors.As(err, &p) {
		return p.status, err
	}
	return http.StatusOK, err
}

// maySee says whether a request may see what is not for everybody.
func (a *Access) maySee(r *http.Request) error {
	switch {
	case a.View == nil && a.Edit == nil:
		return nil
	case a.View == nil:
		return a.carried(r, "edit_auth is required", a.Edit)
	}
	return a.carried(r, "view_auth is required", a.View, a.Edit)
}

// carried returns nil if a request carries one of the credentials, of which some may be nil, and a problem with a text otherwise:
// as Basic, or as Bearer of the same base64 text.
func (a *Access) carried(r *http.Request, text string, any ...*Credentials) error {
	user, password, ok := r.BasicAuth()
	if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
		if text, err := base64.StdEncoding.DecodeString(token); err == nil {
			user, password, ok = strings.Cut(string(text), ":")
		}
	}
	if !ok {
		return &problem{status: http.StatusUnauthorized, text: text}
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr stands for all that have none
	done, retry := a.Guesses.Begin(r.Context(), remote.Addr())
	if done == nil {
		return &problem{
			status: http.StatusTooManyRequests, text: "too many wrong passwords came from this address",
			retry: strconv.Itoa(int(retry/time.Second) + 1),
		}
	}
	right := false
	for _, c := range any {
		right = right || c != nil && c.are(user, password)
	}
	done(right)
	if !right {
		return &problem{status: http.StatusUnauthorized, text: text}
	}
	listen.Prove(r.Context())
	return nil
}

// are says whether a user and a password are these, in a time that does not tell how much of them is.
func (c *Credentials) are(user, password string) bool {
	same := subtle.ConstantTimeCompare([]byte(user), []byte(c.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(c.Password))
	return same == 1
}

// localName says whether a Host header can only mean this machine, whatever a name server says.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
