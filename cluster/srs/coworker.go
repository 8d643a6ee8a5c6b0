package srs

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Paths below the API that other servers use.
const (
	// RegisterPath takes the heartbeats of SRS servers.
	RegisterPath = "/api/v1/srs/register"

	// ClaimPath takes the hooks on_publish and on_unpublish of SRS servers, and refuses publishers of names that are
	// taken anywhere in the mixed cluster.
	ClaimPath = "/api/v1/srs/claim"
)

const maxBody = 64 << 10

// ServeHTTP answers what other servers ask: who has a stream, whether a name is free, and heartbeats.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case ClustersPath:
		c.serveQuestion(w, r)
	case RegisterPath:
		c.serveHeartbeat(w, r)
	case ClaimPath:
		c.serveClaim(w, r)
	default:
		http.NotFound(w, r)
	}
}

// serveQuestion answers a coworker, always with status 200, and without asking others: the coworker holds a player meanwhile.
func (c *Cluster) serveQuestion(w http.ResponseWriter, r *http.Request) {
	q := readQuestion(r.URL.RawQuery)
	host, port := c.locate(q, r.Header.Get(NodeHeader))
	w.Header().Set(instanceHeader, c.cfg.Instance)
	writeJSON(w, answerTo(q, host, port))
	c.cfg.Log.Debug("a coworker asked", slog.String("client", r.RemoteAddr), slog.String("stream", q.place.App+"/"+q.place.Stream), slog.String("addr", host))
}

func writeJSON(w http.ResponseWriter, v any) {
	body := compact(v)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Connection", "Close")
	_, _ = w.Write(body) // it fails when the asker has gone
}

// locate finds the owner of a stream in weir's own cluster, by the raw name and then by the decoded one. Streams that
// are fetched from SRS have no owner here, so that an answer never leads back.
func (c *Cluster) locate(q question, asker string) (host string, port int) {
	for _, p := range []Place{q.place, {decoded(q.place.Vhost), decoded(q.place.App), decoded(q.place.Stream)}} {
		v := (*c.vhosts.Load()).orDefault(p.Vhost)
		if v == nil || !v.OriginCluster {
			continue
		}
		for _, name := range []string{p.App + "/" + p.Stream, p.Stream} {
			o, ok := c.cfg.Owner(v.prefix() + name)
			if !ok || o.Port == 0 || asker != "" && o.Name == asker {
				continue
			}
			if o.Host == "" {
				o.Host = hostOnly(q.coworker)
			}
			if o.Host != "" {
				return o.Host, o.Port
			}
		}
	}
	return "", 0
}

// A server is an SRS server that sends heartbeats.
type server struct {
	apis  []string
	until time.Time
}

const (
	heartbeatAge = 30 * time.Second
	maxHeartbeat = 200
)

// A heartbeat is what an SRS server says of itself.
type heartbeat struct {
	IP      string   `json:"ip"`
	Server  string   `json:"server"`
	Service string   `json:"service"`
	PID     string   `json:"pid"`
	RTMP    []string `json:"rtmp"`
	API     []string `json:"api"`
}

// serveHeartbeat makes a coworker of the server that sends it, where a virtual host permits that.
func (c *Cluster) serveHeartbeat(w http.ResponseWriter, r *http.Request) {
	if !slices.ContainsFunc(*c.vhosts.Load(), func(v Vhost) bool { return v.Register }) {
		http.Error(w, "no vhost has `register on;`", http.StatusForbidden)
		return
	}
	var h heartbeat
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&h); err != nil {
		http.Error(w, "reading the heartbeat: "+err.Error(), http.StatusBadRequest)
		return
	}
	if h.IP == "" || h.Server == "" || h.Service == "" || h.PID == "" || len(h.RTMP) == 0 {
		http.Error(w, "a heartbeat needs ip, server, service, pid and rtmp", http.StatusBadRequest)
		return
	}
	s := server{until: time.Now().Add(heartbeatAge)}
	for _, at := range h.API[:min(len(h.API), 8)] {
		if addr, ok := reachable(at, h.IP); ok {
			s.apis = append(s.apis, addr)
		}
	}
	c.mu.Lock()
	id := h.Server + "-" + h.Service + "-" + h.PID
	_, again := c.servers[id]
	full := !again && len(c.servers) >= maxHeartbeat
	if !full {
		c.servers[id] = s
	}
	c.mu.Unlock()
	if full {
		http.Error(w, "too many servers send heartbeats here", http.StatusServiceUnavailable)
		return
	}
	if !again {
		c.cfg.Log.Info("an SRS server sends heartbeats", slog.String("server", h.IP))
	}
	writeJSON(w, object{{"code", 0}, {"pid", h.PID}})
}

// reachable reads PORT or [HOST]:PORT as a server says where it listens; one that listens everywhere, or for itself, is
// reached at ip.
func reachable(at, ip string) (addr string, ok bool) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		host, port = "", at
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", false
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = ip
	}
	return net.JoinHostPort(host, port), sayable(host)
}

// registered are the APIs of the servers whose heartbeats are young, in order.
func (c *Cluster) registered(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for id, s := range c.servers {
		if now.After(s.until) {
			delete(c.servers, id)
			continue
		}
		list = append(list, s.apis...)
	}
	slices.Sort(list)
	return list
}

// promiseAge is how long a name is kept for a publisher that was told that it is free. By then the stream runs, and is
// found where it does.
const promiseAge = 10 * time.Second

const maxPromises = 10_000

// promises are the names that were promised to publishers just now, at SRS servers or here.
type promises struct {
	mu sync.Mutex
	of map[Place]promise
}

type promise struct {
	server string
	until  time.Time
}

// take promises a name to a server, unless it is promised to another one, which is returned as holder. Two publishers at one
// server are told apart by that server. An empty server is promised nothing.
func (c *promises) take(p Place, server string, now time.Time) (holder string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, taken := c.of[p]; taken && now.Before(h.until) && h.server != server {
		return h.server, false
	}
	for q, h := range c.of {
		if now.After(h.until) {
			delete(c.of, q)
		}
	}
	if server != "" && len(c.of) < maxPromises {
		c.of[p] = promise{server, now.Add(promiseAge)}
	}
	return "", true
}

func (c *promises) drop(p Place, server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.of[p]; ok && h.server == server {
		delete(c.of, p)
	}
}

// isCoworker says whether a request comes from a coworker's machine. Names are promised to no other: else any host could
// keep publishers away by sending hooks.
func (c *Cluster) isCoworker(ctx context.Context, v *Vhost, remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, at := range c.coworkers(v) {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", hostOnly(at))
		if err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == from.Addr().Unmap() }) {
			return true
		}
	}
	return false
}

// serveClaim answers the hooks on_publish and on_unpublish of an SRS server. Only in them does SRS ask whether it may take a
// publisher. The answer 1 makes it refuse.
func (c *Cluster) serveClaim(w http.ResponseWriter, r *http.Request) {
	var h struct {
		Action string `json:"action"`
		Server string `json:"server_id"`
		Vhost  string `json:"vhost"`
		App    string `json:"app"`
		Stream string `json:"stream"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&h); err != nil {
		http.Error(w, "reading the hook: "+err.Error(), http.StatusBadRequest)
		return
	}
	v := (*c.vhosts.Load()).orDefault(h.Vhost)
	if v == nil || !v.OriginCluster {
		writeJSON(w, 0) // this node shares no names with the server
		return
	}
	p := Place{Vhost: v.Name, App: h.App, Stream: h.Stream}
	if !c.isCoworker(r.Context(), v, r.RemoteAddr) {
		h.Server = ""
	}
	if h.Action != "on_publish" {
		c.promises.drop(p, h.Server)
		writeJSON(w, 0)
		return
	}
	why := ""
	if host, _ := c.locate(question{place: p, coworker: "weir"}, ""); host != "" {
		why = "it is published at a weir node"
	} else if found, ok := c.finder.find(r.Context(), c.coworkers(v), p, "", true); ok {
		why = "it is published at " + found.Addr
	} else if holder, ok := c.promises.take(p, h.Server, time.Now()); !ok {
		why = "it was promised to " + holder + " just now"
	}
	code := 0
	if why != "" {
		code = 1
		c.cfg.Log.Info("a publisher at an SRS server is refused", slog.String("client", r.RemoteAddr), slog.String("stream", p.App+"/"+p.Stream), slog.String("err", why))
	}
	writeJSON(w, code)
}
