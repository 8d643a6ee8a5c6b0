package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"weir/protocols/api"
)

// A NodeAddr is where a running node is asked.
type NodeAddr struct {
	Node string `env:"WEIR_NODE" default:"http://127.0.0.1:80" placeholder:"URL" help:"HTTP address of the node. Default ${default}."`
	User string `env:"WEIR_USER" placeholder:"USER:PASSWORD" help:"What the node's edit_auth or view_auth wants. Other users of this machine can see a flag; use the variable."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// DrainCmd is `weir drain`.
type DrainCmd struct {
	NodeAddr
	Deadline time.Duration `default:"30s" help:"How long the node may take. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*DrainCmd) Help() string {
	return `Examples:
  weir drain
  weir drain --node http://127.0.0.1:8080 --deadline 2m

The node hands its streams over: each is stopped only when another node runs it, so that nobody misses anything. Then it
waits for its own viewers, at most up to the deadline; those that are left are sent on where their protocol can say it
(RTSP), and closed and counted otherwise. Then the node ends. It accepts this from its own machine only, unless its
file has edit_auth.

SIGTERM makes a node do the same within 30 s; a second one ends it at once.

Exit codes: 0 the node has handed everything over and ended; 1 it has ended, or goes on, with something left, or could
not be asked.`
}

// nodeURL is the URL of a node, as a flag has it.
func nodeURL(node string) (*url.URL, error) {
	text := node
	if !strings.Contains(node, "://") {
		text = "http://" + node
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &exitError{exitConfig, fmt.Errorf("--node %q: expected http://HOST[:PORT]", node)}
	}
	return u, nil
}

// request makes a request for a path of the API.
func (a *NodeAddr) request(ctx context.Context, method, path string, query url.Values) (*http.Request, error) {
	u, err := nodeURL(a.Node)
	if err != nil {
		return nil, err
	}
	u = u.JoinPath("/streamer/api/v3" + path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", a.Node, err)
	}
	if user, password, ok := strings.Cut(a.User, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	return req, nil
}

// do sends a request; any status but 200 is an error in the node's own words.
func (a *NodeAddr) do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", a.Node, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	var said struct{ Error string }
	if json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<16)).Decode(&said) != nil || said.Error == "" {
		said.Error = res.Status
	}
	return nil, fmt.Errorf("%s answers: %s", a.Node, said.Error)
}

// Run drains a node and tells how it goes.
func (c *DrainCmd) Run(ctx context.Context, std stdio) error {
	req, err := c.request(ctx, http.MethodPost, "/drain", url.Values{"deadline": {c.Deadline.String()}})
	if err != nil {
		return err
	}
	res, err := c.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var d api.Drain
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		d = api.Drain{}
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return fmt.Errorf("the answer of %s: %w", c.Node, err)
		}
		if c.JSON {
			_, err = fmt.Fprintf(std.out, "%s\n", lines.Bytes())
		} else {
			_, err = fmt.Fprintln(std.out, drainLine(d))
		}
		if err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	switch err := errors.Join(lines.Err(), ctx.Err()); {
	case d.State != api.DrainDone:
		return fmt.Errorf("the node does not say how its drain ended; it may go on: %w", errors.Join(err, os.ErrDeadlineExceeded))
	case d.Alone:
		return errors.New("no other node lives, so nothing could be handed over; the node has ended")
	case d.Left > 0:
		return fmt.Errorf("%s could not be handed over, since no live node may take them; the node has ended", plural(d.Left, "stream"))
	case d.Expired && d.Streams > 0:
		return fmt.Errorf("%s had not been handed over by the deadline; the node has ended", plural(d.Streams, "stream"))
	}
	return nil
}

// drainLine says in words how far a drain is.
func drainLine(d api.Drain) string {
	switch d.State {
	case api.DrainDone:
		return fmt.Sprintf("done: %s sent on, %s closed", plural(d.Moved, "viewer"), plural(d.Closed, "viewer"))
	case "waiting":
		return fmt.Sprintf("waiting for %s and %s of this node", plural(d.Viewers, "viewer"), plural(d.Relays, "relay"))
	}
	return fmt.Sprintf("handing over: %s to go, %s", plural(d.Streams, "stream"), plural(d.Viewers, "viewer"))
}
