package node

import (
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"weir/actors"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/srs"
	"weir/codecs"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// srsAPI answers the HTTP API in SRS's form, and what SRS servers ask.
func (n *Node) srsAPI() http.Handler {
	var edit *api.Credentials
	if c := n.file().EditAuth; c != nil {
		edit = &api.Credentials{User: c.User, Password: c.Password}
	}
	return &srs.API{
		Node:   srsShown{n},
		Server: n.abroad.hooks.Server(), Service: n.abroad.hooks.Service(), PID: os.Getpid(), Build: n.cfg.Build,
		MayEdit: func(r *http.Request) (int, error) { return api.MayEdit(r, edit) },
		Other:   n.abroad.cluster,
	}
}

// srsShown is what SRS's API shows of a node.
type srsShown struct{ n *Node }

var _ srs.Node = srsShown{}

// left is told of each session that has ended.
func (n *Node) left(s listen.ClientStats) { n.abroad.hooks.Left(s.Remote, s.BytesIn, s.BytesOut) }

// words are a stream's name in the words of SRS.
func (s srsShown) words(name string) (vhost, app, stream string) {
	vhost = srs.DefaultVhost
	for _, v := range s.n.file().Vhosts {
		if rest, ok := strings.CutPrefix(name, v.Prefix()); ok && v.Prefix() != "" {
			vhost, name = v.Name, rest
		}
	}
	cut := strings.LastIndexByte(name, '/')
	return vhost, name[:max(cut, 0)], name[cut+1:]
}

// seats are the sessions of clients, in the order of their identifiers.
func (s srsShown) seats() []session.Info {
	list := s.n.sessions.List()
	list = slices.DeleteFunc(list, func(c session.Info) bool { return c.Protocol == protocols.Relay || c.Stream == "" })
	slices.SortFunc(list, func(a, b session.Info) int {
		if d := len(a.ID) - len(b.ID); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Streams implements [srs.Node].
func (s srsShown) Streams() []srs.Stream {
	seats := s.seats()
	names := slices.Sorted(slices.Values(s.n.streams.Names()))
	out := make([]srs.Stream, 0, len(names))
	for _, name := range names {
		live, is, ok := s.n.streams.Get(name)
		if !ok || live.Hub.Written() == 0 || is.Role == stream.Idle {
			continue
		}
		vhost, app, stream := s.words(name)
		st := srs.Stream{
			Vhost: vhost, App: app, Name: stream, Now: s.n.cfg.Outside.Wall(), Active: true, Frames: live.Hub.Written(),
			Rate: s.n.abroad.meter.Rate("stream " + name), TCURL: "rtmp://" + vhost + "/" + app,
		}
		for _, c := range seats {
			if c.Stream != name {
				continue
			}
			st.Clients++
			st.Sent += c.BytesOut
			st.Received += c.BytesIn
			if c.Publisher {
				v, _ := s.n.abroad.hooks.Visit(c.Remote)
				st.Publisher, st.TCURL = v.ID, v.TCURL
			}
		}
		st.Video, st.Audio = srsTracks(live.Hub.Tracks())
		out = append(out, st)
	}
	return out
}

// profiles are the names that SRS has for the profiles of H.264 (ITU-T H.264, A.2) and of AAC (ISO/IEC 14496-3, 1.5.1).
var (
	h264Profiles = map[byte]string{66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High(10)", 122: "High(422)", 244: "High(444)"}
	aacProfiles  = map[byte]string{1: "Main", 2: "LC", 3: "SSR", 5: "HE", 29: "HEv2"}
)

func srsTracks(tracks codecs.Tracks) (v *srs.Video, a *srs.Audio) {
	if i := tracks.Video(); i >= 0 {
		t := tracks[i]
		v = &srs.Video{Codec: t.Codec.String(), Width: t.Width, Height: t.Height, Profile: "Other", Level: "Other"}
		switch {
		case t.Codec == codecs.H265:
			v.Codec = "HEVC"
		case t.Codec == codecs.H264 && len(t.Config) > 3:
			if p := h264Profiles[t.Config[1]]; p != "" {
				v.Profile = p
			}
			v.Level = string('0'+rune(t.Config[3]/10%10)) + "." + string('0'+rune(t.Config[3]%10))
			v.Level = strings.TrimSuffix(v.Level, ".0")
		}
	}
	if i := tracks.Audio(); i >= 0 {
		t := tracks[i]
		a = &srs.Audio{Codec: t.Codec.String(), SampleRate: t.SampleRate, Channel: t.Channels, Profile: "Other"}
		if t.Codec == codecs.AAC && len(t.Config) > 0 {
			if p := aacProfiles[t.Config[0]>>3]; p != "" {
				a.Profile = p
			}
		}
	}
	return v, a
}

// Clients implements [srs.Node].
func (s srsShown) Clients() []srs.Client {
	seats := s.seats()
	out := make([]srs.Client, 0, len(seats))
	for _, c := range seats {
		vhost, app, stream := s.words(c.Stream)
		u := srs.StreamURL(vhost, app, stream)
		cl := srs.Client{
			ID: c.ID, Vhost: vhost, Stream: srs.StreamID(u), IP: c.Remote.Addr().String(), URL: u, Name: stream,
			TCURL: "rtmp://" + vhost + "/" + app, Type: string(c.Protocol) + "-play", Publish: c.Publisher, Sent: c.BytesOut, Received: c.BytesIn,
			Rate: s.n.abroad.meter.Rate("client " + c.ID),
		}
		if c.Publisher {
			cl.Type = "fmle-publish"
		}
		if v, ok := s.n.abroad.hooks.Visit(c.Remote); ok {
			cl.ID, cl.TCURL, cl.PageURL = v.ID, v.TCURL, v.PageURL
			cl.Alive = s.n.cfg.Outside.Wall().Sub(v.Since).Seconds()
		}
		out = append(out, cl)
	}
	return out
}

// Vhosts implements [srs.Node].
func (s srsShown) Vhosts() []srs.VhostInfo {
	list := []srs.VhostInfo{{Name: srs.DefaultVhost}}
	for _, v := range s.n.file().Vhosts {
		if v.Name != srs.DefaultVhost {
			list = append(list, srs.VhostInfo{Name: v.Name})
		}
	}
	at := func(name string) *srs.VhostInfo {
		vhost, _, _ := s.words(name)
		return &list[slices.IndexFunc(list, func(v srs.VhostInfo) bool { return v.Name == vhost })]
	}
	for _, st := range s.Streams() {
		at(strings.TrimPrefix(srs.StreamURL(st.Vhost, st.App, st.Name), "/")).Streams++
	}
	for _, c := range s.seats() {
		v := at(c.Stream)
		v.Clients++
		v.Sent += c.BytesOut
		v.Received += c.BytesIn
	}
	for i := range list {
		list[i].Rate = s.n.abroad.meter.Rate("vhost " + list[i].Name)
	}
	return list
}

// Machine implements [srs.Node].
func (s srsShown) Machine() srs.Machine {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	cpu := 0.0
	if v := s.n.view.get(); v != nil {
		cpu = float64(v.Load.CPU) / 1000
	}
	return srs.Machine{
		CPUPart: cpu, PID: os.Getpid(), Uptime: s.n.env.Now(), MemoryKB: m.Sys >> 10, Now: s.n.cfg.Outside.Wall(), Connections: len(s.n.sessions.List()),
	}
}

// Kick implements [srs.Node].
func (s srsShown) Kick(id string) bool {
	for _, c := range s.seats() {
		v, known := s.n.abroad.hooks.Visit(c.Remote)
		if known && v.ID == id || !known && c.ID == id {
			s.n.sys.Root.Send(s.n.pid(actors.Sessions), session.Close{ID: c.ID})
			return true
		}
	}
	return false
}

// measure takes the counters from which rates are made, and forgets clients that are no longer there. It is called every [loadEvery].
func (s srsShown) measure(now time.Duration) {
	by := map[string]srs.Count{}
	for _, c := range s.seats() {
		vhost, _, _ := s.words(c.Stream)
		for _, key := range []string{"client " + c.ID, "stream " + c.Stream, "vhost " + vhost} {
			sum := by[key]
			sum.Received += c.BytesIn
			sum.Sent += c.BytesOut
			by[key] = sum
		}
	}
	s.n.abroad.meter.Sample(now, by)
	open := map[netip.AddrPort]bool{}
	for _, c := range s.n.sessions.List() {
		open[c.Remote] = true
	}
	s.n.abroad.hooks.Sweep(s.n.cfg.Outside.Wall(), func(at netip.AddrPort) bool { return open[at] })
}
