package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/protocols"
)

// A client is a connection to a server. Requests are made, and messages read, by one goroutine at a time; any may write.
type client struct {
	nc       net.Conn
	in       *reader
	user     *url.Userinfo // nil if nobody is to be named
	agent    string
	patience time.Duration // with each answer
	silence  time.Duration // with the server, when no answer is awaited; zero is for ever
	until    time.Time     // when the answer that is awaited must have come; the zero Time while none is

	// media takes the interleaved packets, which may come at any time.
	media func(channel int, packet []byte) error

	mu        sync.Mutex // guards writes and what follows
	sequence  int
	session   string
	expires   time.Duration // of the session; zero if the server does not say
	challenge *challenge    // nil as long as nobody has asked
}

// A statusError is an answer that is none of success.
type statusError struct {
	status int
	reason string
}

func (e *statusError) Error() string {
	return strings.TrimRight(fmt.Sprintf("the server answers %d %s", e.status, e.reason), " ")
}

// A movedError says that the server sends its clients elsewhere.
type movedError struct{ to string }

func (m *movedError) Error() string { return "the server sends its clients elsewhere" }

// errTornDown says that the server has ended the session by TEARDOWN.
var errTornDown = errors.New("the server ended the session")

// dialServer connects to the server of a URL. The client names the user of the URL when it is asked.
func dialServer(ctx context.Context, u *url.URL, cfg PullConfig) (*client, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = strconv.Itoa(protocols.Of(protocols.Protocol(u.Scheme)).Port)
	}
	d := &net.Dialer{Timeout: cfg.Timeout}
	dial := d.DialContext
	if u.Scheme == "rtsps" {
		ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
		defer cancel()
		dial = (&tls.Dialer{NetDialer: d, Config: &tls.Config{ServerName: host, RootCAs: cfg.Roots}}).DialContext
		return newClient(ctx, dial, net.JoinHostPort(host, port), u.User, cfg)
	}
	return newClient(ctx, dial, net.JoinHostPort(host, port), u.User, cfg)
}

func newClient(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), address string,
	user *url.Userinfo, cfg PullConfig,
) (*client, error) {
	nc, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, user: user, agent: cfg.Agent, patience: cfg.Timeout, silence: cfg.Timeout}
	c.in = newReader(patient{c})
	return c, nil
}

// patient is the connection of a client to be read from.
type patient struct{ c *client }

func (d patient) Read(b []byte) (int, error) {
	at := d.c.until
	if silent := time.Now().Add(d.c.silence); at.IsZero() && d.c.silence > 0 {
		at = silent
	}
	if err := d.c.nc.SetReadDeadline(at); err != nil {
		return 0, err
	}
	return d.c.nc.Read(b)
}

// ask makes a request and returns the answer, whatever it is. It proves the user when the server asks for one. lines are header
// lines.
func (c *client) ask(method, uri string, lines ...string) (*message, error) {
	for tries := 0; ; tries++ {
		c.until = time.Now().Add(c.patience)
		sequence, proved, err := c.write(method, uri, lines)
		if err != nil {
			return nil, fmt.Errorf("asking the server: %w", err)
		}
		m, err := c.await(sequence)
		c.until = time.Time{}
		if err != nil {
			return nil, err
		}
		if m.status != 401 {
			c.remember(m)
			return m, nil
		}
		again := c.challenged(m)
		if again == nil || tries == 2 || proved != nil && tries > 0 && !again.stale() {
			return m, nil
		}
	}
}

// challenged takes the challenge of an answer; nil if it cannot be met.
func (c *client) challenged(m *message) *challenge {
	next := challenges(m.header["www-authenticate"])
	if next == nil || c.user == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.challenge = next
	return next
}

// await reads up to the answer to the request of that number.
func (c *client) await(sequence int) (*message, error) {
	for {
		m, err := c.read()
		if err != nil {
			return nil, err
		}
		if n, err := strconv.Atoi(m.header.first("cseq")); m.status >= 200 && (err != nil || n == sequence) {
			return m, nil
		}
	}
}

// read reads the next response. It deals with everything else that comes meanwhile.
func (c *client) read() (*message, error) {
	for {
		m, err := c.in.next()
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				return nil, errors.New("the server is silent")
			}
			return nil, err
		}
		switch {
		case m.packet != nil:
			if err := c.media(m.channel, m.packet); err != nil {
				return nil, err
			}
		case m.status != 0:
			return m, nil
		default:
			if err := c.obey(m); err != nil {
				return nil, err
			}
		}
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// obey answers a request of the server (RFC 2326, 10). None but TEARDOWN and REDIRECT changes anything.
func (c *client) obey(m *message) error {
	status, more := "200 OK", ""
	switch m.method {
	case "OPTIONS":
		more = "Public: OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, REDIRECT, TEARDOWN\r\n"
	case "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "REDIRECT", "TEARDOWN":
	default:
		status = "501 Not Implemented"
	}
	if s := m.header.first("session"); s != "" {
		more += "Session: " + s + "\r\n"
	}
	if n := m.header.first("cseq"); n != "" {
		more = "CSeq: " + n + "\r\n" + more
	}
	if err := c.send([]byte("RTSP/1.0 " + status + "\r\n" + more + "\r\n")); err != nil {
		return fmt.Errorf("answering the server: %w", err)
	}
	switch to := m.header.first("location"); {
	case m.method == "TEARDOWN":
		return errTornDown
	case m.method == "REDIRECT" && to != "":
		return &movedError{to}
	}
	return nil
}

// write writes a request. proved is the challenge that it meets.
func (c *client) write(method, uri string, lines []string) (sequence int, proved *challenge, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sequence++
	b := fmt.Appendf(nil, "%s %s RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: %s\r\n", method, uri, c.sequence, c.agent)
	if c.session != "" {
		b = fmt.Appendf(b, "Session: %s\r\n", c.session)
	}
	if c.challenge != nil {
		b = fmt.Appendf(b, "Authorization: %s\r\n", c.challenge.answer(method, uri, c.user))
	}
	for _, l := range lines {
		b = append(append(b, l...), "\r\n"...)
	}
	return c.sequence, c.challenge, c.sendLocked(append(b, "\r\n"...))
}

func (c *client) send(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sendLocked(b)
}

func (c *client) sendLocked(b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// remember takes what an answer says of the session (RFC 2326, 12.37).
func (c *client) remember(m *message) {
	id, parameters, _ := strings.Cut(m.header.first("session"), ";")
	if id = strings.TrimSpace(id); id == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = id
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 16); err == nil && strings.EqualFold(strings.TrimSpace(name), "timeout") {
			c.expires = time.Duration(n) * time.Second
		}
	}
}

// leave ends the session without waiting for an answer, and the connection.
func (c *client) leave(uri string) {
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session != "" {
		_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _, _ = c.write("TEARDOWN", uri, nil)
	}
	_ = c.nc.Close()
}
