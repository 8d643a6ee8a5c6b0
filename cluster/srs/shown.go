package srs

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/codecs"
	"weir/protocols"
)

// place is a stream of weir's in the words of SRS.
func (a *API) place(name string) Place { return a.cfg.Cluster.vhosts.Load().place(name) }

// sessions are those of clients, in the order of their identifiers.
func (a *API) sessions() []Session {
	list := slices.DeleteFunc(a.cfg.Sessions(), func(c Session) bool { return c.Protocol == protocols.Relay || c.Stream == "" })
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(len(a.ID)-len(b.ID), strings.Compare(a.ID, b.ID))
	})
	return list
}

func (a *API) streams() (out []object) {
	sessions := a.sessions()
	for _, live := range a.cfg.Streams() {
		p := a.place(live.Name)
		u, tcURL, publisher := streamURL(p.Vhost, p.App, p.Stream), "rtmp://"+p.Vhost+"/"+p.App, ""
		clients, sum := 0, count{}
		for _, c := range sessions {
			if c.Stream != live.Name {
				continue
			}
			clients++
			sum.add(c)
			if v, ok := a.cfg.Hooks.Client(c.Remote); ok && c.Publisher && (publisher == "" || v.Publisher) { // not one that was before
				publisher, tcURL = v.ID, v.TCURL
			}
		}
		video, audio := shownTracks(live.Tracks)
		publish := object{{"active", live.Active}}
		if publisher != "" {
			publish = append(publish, field{"cid", publisher})
		}
		out = append(out, object{
			{"id", StreamID(u)},
			{"name", p.Stream},
			{"vhost", StreamID(p.Vhost)},
			{"app", p.App},
			{"tcUrl", tcURL},
			{"url", u},
			{"live_ms", a.cfg.Wall().UnixMilli()},
			{"clients", clients},
			{"frames", live.Frames},
			{"send_bytes", sum.sent},
			{"recv_bytes", sum.received},
			{"kbps", a.rates.of("stream " + live.Name)},
			{"publish", publish},
			{"video", video},
			{"audio", audio},
		})
	}
	return out
}

// The names that SRS has for the profiles of H.264 (ITU-T H.264, A.2) and of AAC (ISO/IEC 14496-3, 1.5.1).
var (
	h264Profiles = map[byte]string{66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High(10)", 122: "High(422)", 244: "High(444)"}
	aacProfiles  = map[byte]string{1: "Main", 2: "LC", 3: "SSR", 5: "HE", 29: "HEv2"}
)

// shownTracks describes the picture and the sound of a stream, each nil if there is none.
func shownTracks(tracks codecs.Tracks) (video, audio any) {
	if i := tracks.Video(); i >= 0 {
		t := tracks[i]
		codec, profile, level := t.Codec.String(), "Other", "Other"
		switch {
		case t.Codec == codecs.H265:
			codec = "HEVC"
		case t.Codec == codecs.H264 && len(t.Config) > 3:
			profile = cmp.Or(h264Profiles[t.Config[1]], profile)
			level = string('0'+rune(t.Config[3]/10%10)) + "." + string('0'+rune(t.Config[3]%10))
			level = strings.TrimSuffix(level, ".0")
		}
		video = object{{"codec", codec}, {"profile", profile}, {"level", level}, {"width", t.Width}, {"height", t.Height}}
	}
	if i := tracks.Audio(); i >= 0 {
		t := tracks[i]
		profile := "Other"
		if t.Codec == codecs.AAC && len(t.Config) > 0 {
			profile = cmp.Or(aacProfiles[t.Config[0]>>3], profile)
		}
		audio = object{{"codec", t.Codec.String()}, {"sample_rate", t.SampleRate}, {"channel", t.Channels}, {"profile", profile}}
	}
	return video, audio
}

func (a *API) clients() (out []object) {
	list := a.sessions()
	said := a.said(list)
	for i, c := range list {
		p := a.place(c.Stream)
		u, kind := streamURL(p.Vhost, p.App, p.Stream), string(c.Protocol)+"-play"
		if c.Publisher {
			kind = "fmle-publish"
		}
		who, name := said[i], p.Stream
		alive := max(0, a.cfg.Wall().Sub(who.Since).Seconds())
		switch web := protocols.Of(c.Protocol).Listener == protocols.HTTP; {
		case who.suffix != "":
		case web:
			who.TCURL = a.httpURL(p, c.Stream)
		case who.TCURL == "":
			who.TCURL = "rtmp://" + p.Vhost + "/" + p.App
		}
		switch c.Protocol { // SRS has the file of the path, and no page of players over HTTP
		case protocols.FLV:
			name, who.PageURL = name+".flv", ""
		case protocols.HLS:
			name, who.PageURL = name+playlistSuffix, ""
		}
		out = append(out, object{
			{"id", who.ID},
			{"vhost", StreamID(p.Vhost)},
			{"stream", StreamID(u)},
			{"ip", c.Remote.Addr().String()},
			{"pageUrl", who.PageURL},
			{"swfUrl", ""},
			{"tcUrl", who.TCURL},
			{"url", u},
			{"name", name},
			{"type", kind},
			{"publish", c.Publisher},
			{"alive", decimal(alive)},
			{"send_bytes", c.BytesOut},
			{"recv_bytes", c.BytesIn},
			{"kbps", a.rates.of("client " + c.ID)},
		})
	}
	return out
}

// said is what each client of a list has said, as far as it is known. Requests of a viewer of playlists come over many connections:
// those of one stream at one address are taken in the order in which they came.
func (a *API) said(list []Session) []Client {
	out := make([]Client, len(list))
	viewers := a.cfg.Hooks.viewers()
	for i, c := range list {
		out[i] = Client{ID: c.ID, Since: a.since(c.ID)}
		if v, ok := a.cfg.Hooks.Client(c.Remote); ok {
			out[i] = v
			continue
		}
		if c.Protocol != protocols.HLS {
			continue
		}
		at := viewers[c.Remote.Addr()]
		if k := slices.IndexFunc(at, func(w *watch) bool { return slices.Contains(w.streams, c.Stream) }); k >= 0 {
			out[i] = *at[k].client
			viewers[c.Remote.Addr()] = slices.Delete(at, k, k+1)
		}
	}
	return out
}

// since is when a session was seen first.
func (a *API) since(session string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.seen[session]; ok {
		return t
	}
	return a.cfg.Wall()
}

// httpURL is the tcUrl of HTTP players of a stream: SRS makes it from that of the stream's publisher, with the publisher's port,
// and from the virtual host if that is not the default one.
func (a *API) httpURL(p Place, stream string) string {
	host, port := p.Vhost, ""
	for _, c := range a.cfg.Sessions() {
		if !c.Publisher || c.Stream != stream {
			continue
		}
		if v, ok := a.cfg.Hooks.Client(c.Remote); ok {
			at := authority(v.TCURL)
			if p.Vhost == DefaultVhost {
				host = hostOnly(at)
			}
			_, port, _ = net.SplitHostPort(at)
		}
	}
	if port != "" && port != "1935" {
		host = net.JoinHostPort(host, port)
	}
	return "http://" + host + "/" + p.App
}

// authority is what stands between the slashes of a URL.
func authority(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	at, _, _ := strings.Cut(rest, "/")
	at, _, _ = strings.Cut(at, "?")
	return at
}

func (a *API) vhosts() (out []object) {
	names := []string{DefaultVhost}
	for _, v := range *a.cfg.Cluster.vhosts.Load() {
		if v.Name != DefaultVhost {
			names = append(names, v.Name)
		}
	}
	sessions, live := a.sessions(), a.cfg.Streams()
	for _, name := range names {
		clients, streams, sum := 0, 0, count{}
		for _, s := range live {
			if a.place(s.Name).Vhost == name {
				streams++
			}
		}
		for _, c := range sessions {
			if a.place(c.Stream).Vhost == name {
				clients++
				sum.add(c)
			}
		}
		out = append(out, object{
			{"id", StreamID(name)},
			{"name", name},
			{"enabled", true},
			{"clients", clients},
			{"streams", streams},
			{"send_bytes", sum.sent},
			{"recv_bytes", sum.received},
			{"kbps", a.rates.of("vhost " + name)},
			{"hls", object{{"enabled", true}, {"fragment", decimal(4)}}},
		})
	}
	return out
}

// end ends the session of a client; false if there is none of that id.
func (a *API) end(id string) bool {
	list := a.sessions()
	i := slices.IndexFunc(a.said(list), func(c Client) bool { return c.ID == id })
	if i < 0 {
		return false
	}
	a.cfg.Close(list[i].ID)
	return true
}

// Measure takes the counters of which rates are made, and makes the hooks forget clients that have no session. It is to be
// called every two seconds or so; now is by a clock that is not set.
func (a *API) Measure(now time.Duration) {
	by := map[string]count{}
	for _, c := range a.sessions() {
		for _, key := range []string{"client " + c.ID, "stream " + c.Stream, "vhost " + a.place(c.Stream).Vhost} {
			sum := by[key]
			sum.add(c)
			by[key] = sum
		}
	}
	a.rates.sample(now, by)
	a.look()
	open := map[netip.AddrPort]bool{}
	for _, c := range a.cfg.Sessions() {
		open[c.Remote] = true
	}
	a.cfg.Hooks.Sweep(a.cfg.Wall(), func(at netip.AddrPort) bool { return open[at] })
}

// look keeps when each session was seen first.
func (a *API) look() {
	now := a.cfg.Wall()
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.seen
	a.seen = make(map[string]time.Time, len(before))
	for _, c := range a.cfg.Sessions() {
		a.seen[c.ID] = now
		if t, ok := before[c.ID]; ok {
			a.seen[c.ID] = t
		}
	}
}
