package srstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/codecs/flv/amf"
)

// Config says what an [Origin] is like.
type Config struct {
	// Coworkers are the HTTP APIs that are asked, in this order; nil makes it a stand-alone server, which waits for the
	// publisher of whatever is played.
	Coworkers []string

	Vhosts    []string // besides the default one
	OnConnect string   // URLs of hooks; empty for none
	OnPublish string

	// Says replaces the answers of the API, and Redirect those of RTMP's play: with a redirect to that address.
	Says     func(rawQuery string) string
	Redirect string

	Addr string // of the RTMP server; empty: any of 127.0.0.1
}

// An Origin is a stand-in for an SRS origin server.
type Origin struct {
	RTMP, API string // addresses
	cfg       Config
	listeners []net.Listener
	ended     context.Context
	end       context.CancelFunc

	mu      sync.Mutex
	streams map[string]*live
	asked   []string // the heads of requests to the API
	plays   []string // vhost/app/stream?param of each play
	refused int      // publishers that were let go
}

// A live is one stream: what a new player needs, and who plays.
type live struct {
	publisher net.Conn
	head, gop []message
	players   map[*wire]bool
}

// Start runs an origin until the test ends.
func Start(t testing.TB, cfg Config) *Origin {
	t.Helper()
	o := &Origin{cfg: cfg, streams: map[string]*live{}}
	o.ended, o.end = context.WithCancel(context.Background())
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	for _, s := range []struct {
		addr  string
		into  *string
		serve func(net.Conn)
	}{{cfg.Addr, &o.RTMP, o.serveRTMP}, {"127.0.0.1:0", &o.API, o.serveAPI}} {
		l, err := net.Listen("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		*s.into = l.Addr().String()
		o.listeners = append(o.listeners, l)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					defer context.AfterFunc(o.ended, func() { _ = conn.Close() })()
					s.serve(conn)
				}()
			}
		}()
	}
	t.Cleanup(o.Stop)
	return o
}

// Stop ends the origin, as if its process had died.
func (o *Origin) Stop() {
	for _, l := range o.listeners {
		_ = l.Close()
	}
	o.end()
}

// Know replaces the coworkers.
func (o *Origin) Know(coworkers ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg.Coworkers = coworkers
}

// coworkers are those to ask, in their order, and whether this is a cluster at all.
func (o *Origin) coworkers() ([]string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg.Coworkers, o.cfg.Coworkers != nil
}

// Asked are the requests to the API so far: request line and headers.
func (o *Origin) Asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// Plays are the streams that were asked for so far, as vhost/app/stream?param.
func (o *Origin) Plays() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.plays)
}

// Refused is how many publishers were let go because there was another one, or because a hook said so.
func (o *Origin) Refused() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

// Publishing says whether somebody publishes app/stream of the default vhost.
func (o *Origin) Publishing(name string) bool {
	return o.has("__defaultVhost__/" + name)
}

// vhost resolves a virtual host as SRS does: an unknown one is the default one.
func (o *Origin) vhost(name string) string {
	if slices.Contains(o.cfg.Vhosts, name) {
		return name
	}
	return "__defaultVhost__"
}

// A session is what a client has said.
type session struct {
	wire       *wire
	app, tcURL string
	host       string // of tcURL, without port
	vhost      string
}

func (o *Origin) serveRTMP(conn net.Conn) {
	w, err := shake(conn)
	if err != nil {
		return
	}
	s := &session{wire: w}
	for {
		m, err := w.next()
		if err != nil {
			return
		}
		c, ok := m.command()
		if !ok {
			continue
		}
		switch c.name {
		case "connect":
			if !o.connected(s, c) {
				return
			}
		case "createStream":
			_ = w.say(3, 0, "_result", c.id, nil, 1.0)
		case "play":
			name, _ := c.arg(1).(string)
			o.play(s, name)
			return
		case "publish":
			name, _ := c.arg(1).(string)
			o.publish(s, name)
			return
		}
	}
}

// connected answers connect, with SRS's messages in their order.
func (o *Origin) connected(s *session, c command) bool {
	said, _ := amf.AsObject(c.arg(0))
	s.app, _, _ = strings.Cut(said.String("app"), "?")
	s.tcURL = said.String("tcUrl")
	before, param, _ := strings.Cut(s.tcURL, "?")
	_, rest, _ := strings.Cut(before, "://")
	s.host, _, _ = strings.Cut(rest, "/")
	if h, _, err := net.SplitHostPort(s.host); err == nil {
		s.host = h
	}
	s.vhost = o.vhost(s.host)
	if v := vhostIn(param); v != "" {
		s.vhost = o.vhost(v)
	}
	if o.cfg.OnConnect != "" && !o.hook(o.cfg.OnConnect, map[string]any{"action": "on_connect", "app": s.app, "tcUrl": s.tcURL, "param": param}) {
		return false
	}
	w := s.wire
	_ = w.number(typeWindow, 2500000)
	_ = w.number(typeBandwidth, 2500000, 2)
	_ = w.number(typeChunkSize, 60000)
	_ = w.say(3, 0, "_result", c.id, amf.Object{{Key: "fmsVer", Value: "FMS/3,5,3,888"}, {Key: "capabilities", Value: 127}, {Key: "mode", Value: 1}},
		amf.Object{{Key: "level", Value: "status"}, {Key: "code", Value: "NetConnection.Connect.Success"}, {Key: "description", Value: "Connection succeeded"}, {Key: "objectEncoding", Value: 0}})
	_ = w.say(3, 0, "onBWDone", 0, nil)
	return true
}

func vhostIn(param string) string {
	for _, p := range strings.FieldsFunc(param, func(r rune) bool { return r == '&' || r == '?' }) {
		if v, ok := strings.CutPrefix(p, "vhost="); ok {
			return v
		}
	}
	return ""
}

// name is vhost/app/stream; SRS cuts a stream's name at a space.
func (s *session) name(o *Origin, text string) (name, stream, param string) {
	stream, param, _ = strings.Cut(text, "?")
	stream, _, _ = strings.Cut(stream, " ")
	if v := vhostIn(param); v != "" {
		s.vhost = o.vhost(v)
	}
	return s.vhost + "/" + s.app + "/" + stream, stream, param
}

func (w *wire) status(level, code string) error {
	return w.say(5, 1, "onStatus", 0, nil, amf.Object{
		{Key: "level", Value: level}, {Key: "code", Value: code}, {Key: "description", Value: code}, {Key: "details", Value: "stream"}, {Key: "clientid", Value: "ASAICiss"},
	})
}

func (o *Origin) play(s *session, text string) {
	name, stream, param := s.name(o, text)
	w := s.wire
	o.mu.Lock()
	o.plays = append(o.plays, s.vhost+"/"+s.app+"/"+text)
	o.mu.Unlock()
	_ = w.send(message{cs: 2, typ: typeUser, body: []byte{0, 0, 0, 0, 0, 1}})
	_ = w.status("status", "NetStream.Play.Reset")
	_ = w.status("status", "NetStream.Play.Start")
	_ = w.send(message{cs: 5, typ: typeData, stream: 1, body: amf.Append(nil, "|RtmpSampleAccess", true, true)})
	to := o.cfg.Redirect
	if _, clustered := o.coworkers(); to == "" && !o.has(name) && clustered {
		if to = o.ask(s, stream); to == "" {
			return // without a word
		}
	}
	if to != "" {
		if param != "" {
			param = "?" + param
		}
		_ = w.send(Redirect(to, s.app, stream+param))
		_ = w.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		for {
			m, err := w.next()
			if _, ok := m.command(); ok || err != nil {
				return
			}
		}
	}
	o.watch(w, name)
}

// Redirect is SRS's RTMP 302.
func Redirect(addr, app, stream string) message {
	addr = strings.TrimSuffix(addr, ":1935")
	dir := "rtmp://" + addr + "/" + app
	return message{cs: 5, typ: typeCommand, body: amf.Append(nil, "onStatus", 0, nil, amf.Object{
		{Key: "level", Value: "error"},
		{Key: "code", Value: "NetConnection.Connect.Rejected"},
		{Key: "description", Value: "RTMP 302 Redirect"},
		{Key: "ex", Value: amf.Object{{Key: "code", Value: 302}, {Key: "redirect", Value: dir}, {Key: "redirect2", Value: dir + "/" + stream}}},
	})}
}

func (o *Origin) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.streams[name]
	return s != nil && s.publisher != nil
}

// ask asks the coworkers one after the other.
func (o *Origin) ask(s *session, stream string) (addr string) {
	coworkers, _ := o.coworkers()
	for _, c := range coworkers {
		if a, err := Ask(c, s.vhost, s.host, s.app, stream); err == nil && a != "" {
			return a
		}
	}
	return ""
}

// Request is the question of an SRS origin, byte for byte.
func Request(coworker, vhost, ip, app, stream string) string {
	return "POST /api/v1/clusters?vhost=" + vhost + "&ip=" + ip + "&app=" + app + "&stream=" + stream + "&coworker=" + coworker + " HTTP/1.1\r\n" +
		"Connection: Keep-Alive\r\nContent-Length: 0\r\nContent-Type: application/json\r\nHost: " + coworker + "\r\nUser-Agent: SRS/7.0.18(Hang)\r\n\r\n"
}

// Ask puts the question to a coworker and gives the address in the answer; empty if there is none.
func Ask(coworker, vhost, ip, app, stream string) (addr string, err error) {
	body, err := AskRaw(coworker, Request(coworker, vhost, ip, app, stream))
	if err != nil {
		return "", err
	}
	var a struct {
		Code *int `json:"code"`
		Data struct {
			Origin *struct {
				IP   string `json:"ip"`
				Port int    `json:"port"`
			} `json:"origin"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return "", err
	}
	if a.Code == nil || *a.Code != 0 || a.Data.Origin == nil {
		return "", fmt.Errorf("no origin in %s", body)
	}
	if a.Data.Origin.IP == "" || a.Data.Origin.Port == 0 {
		return "", nil
	}
	return net.JoinHostPort(a.Data.Origin.IP, strconv.Itoa(a.Data.Origin.Port)), nil
}

// AskRaw sends a request as it is and gives the body of the answer, which must have status 200.
func AskRaw(addr, request string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 30*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("status %s", res.Status)
	}
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// live is the stream of that name, played and published by nobody at first. The caller holds mu.
func (o *Origin) live(name string) *live {
	if o.streams[name] == nil {
		o.streams[name] = &live{players: map[*wire]bool{}}
	}
	return o.streams[name]
}

// watch lets a player have the stream, from the newest random access point on, until it goes.
func (o *Origin) watch(w *wire, name string) {
	o.mu.Lock()
	s := o.live(name)
	for _, m := range slices.Concat(s.head, s.gop) {
		_ = w.send(m)
	}
	s.players[w] = true
	o.mu.Unlock()
	for {
		if _, err := w.next(); err != nil {
			break
		}
	}
	o.mu.Lock()
	delete(s.players, w)
	o.mu.Unlock()
}

func (o *Origin) publish(s *session, text string) {
	name, stream, param := s.name(o, text)
	w := s.wire
	if o.cfg.OnPublish != "" {
		body := map[string]any{
			"server_id": "vid-" + o.RTMP, "service_id": "x", "action": "on_publish", "client_id": w.conn.RemoteAddr().String(), "ip": "127.0.0.1",
			"vhost": s.vhost, "app": s.app, "tcUrl": s.tcURL, "stream": stream, "param": param, "stream_url": "/" + s.app + "/" + stream, "stream_id": "vid-x",
		}
		if !o.hook(o.cfg.OnPublish, body) {
			o.mu.Lock()
			o.refused++
			o.mu.Unlock()
			return
		}
	}
	o.mu.Lock()
	l := o.live(name)
	if l.publisher != nil { // StreamBusy
		o.refused++
		o.mu.Unlock()
		return
	}
	l.publisher, l.head, l.gop = w.conn, nil, nil
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		l.publisher = nil
		o.mu.Unlock()
	}()
	_ = w.status("status", "NetStream.Publish.Start")
	for {
		m, err := w.next()
		if err != nil {
			return
		}
		if c, ok := m.command(); ok && (c.name == "deleteStream" || c.name == "FCUnpublish") {
			return
		}
		if m.media() && len(m.body) > 1 {
			o.carry(l, m)
		}
	}
}

// carry gives a message to the players and keeps what new ones need.
func (o *Origin) carry(l *live, m message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.stream = 1
	header := m.typ == typeData || m.typ == typeVideo && m.body[1] == 0 && m.body[0]&0xf == 7 || m.typ == typeAudio && m.body[0]>>4 == 10 && m.body[1] == 0
	switch {
	case header:
		l.head = append(l.head, m)
	case m.typ == typeVideo && m.body[0]>>4 == 1:
		l.gop = []message{m}
	case len(l.gop) > 0:
		l.gop = append(l.gop, m)
	}
	for w := range l.players {
		_ = w.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_ = w.send(m)
	}
}

// hook sends a hook and says whether it was accepted.
func (o *Origin) hook(to string, body map[string]any) bool {
	b, _ := json.Marshal(body)
	res, err := http.Post(to, "application/json", bytes.NewReader(b))
	if err != nil {
		return false
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	var a struct {
		Code *int `json:"code"`
	}
	_ = json.Unmarshal(text, &a)
	return res.StatusCode == 200 && (string(text) == "0" || a.Code != nil && *a.Code == 0)
}

// serveAPI answers one request with SRS's bytes.
func (o *Origin) serveAPI(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		head.WriteString(line)
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	o.mu.Lock()
	o.asked = append(o.asked, head.String())
	o.mu.Unlock()
	target := strings.Fields(head.String())[1]
	_, query, _ := strings.Cut(target, "?")
	body := ""
	if o.cfg.Says != nil {
		body = o.cfg.Says(query)
	} else {
		body = o.answer(query)
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\nServer: SRS/7.0.18(Hang)\r\n\r\n"+body)
}

// answer is SRS's answer, by the publishers of this server alone.
func (o *Origin) answer(query string) string {
	v := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		v[key] = value
	}
	origin := "null"
	if o.has(o.vhost(v["vhost"]) + "/" + v["app"] + "/" + v["stream"]) {
		host, _, _ := net.SplitHostPort(v["coworker"])
		_, port, _ := net.SplitHostPort(o.RTMP)
		origin = `{"ip":"` + host + `","port":` + port + `,"vhost":"` + v["vhost"] + `","api":"` + v["coworker"] + `","routers":["` + v["coworker"] + `"]}`
	}
	return `{"code":0,"data":{"query":{"ip":"` + v["ip"] + `","vhost":"` + v["vhost"] + `","app":"` + v["app"] + `","stream":"` + v["stream"] + `"},"origin":` + origin + `}}`
}
