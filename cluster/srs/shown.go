package srs

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/codecs"
	"weir/protocols"
)

// An item is one object of a list of the API, in the form in which SRS writes it.
type item struct {
	id   string
	show any
}

type (
	shownStream struct {
		ID       string       `json:"id"`
		Name     string       `json:"name"`
		Vhost    string       `json:"vhost"`
		App      string       `json:"app"`
		TCURL    string       `json:"tcUrl"`
		URL      string       `json:"url"`
		LiveMS   int64        `json:"live_ms"`
		Clients  int          `json:"clients"`
		Frames   uint64       `json:"frames"`
		Sent     uint64       `json:"send_bytes"`
		Received uint64       `json:"recv_bytes"`
		Rate     rate         `json:"kbps"`
		Publish  shownPublish `json:"publish"`
		Video    *shownVideo  `json:"video"`
		Audio    *shownAudio  `json:"audio"`
	}
	shownPublish struct {
		Active bool   `json:"active"` // it is published, here or elsewhere
		Client string `json:"cid"`    // empty if it is not published here
	}
	shownVideo struct {
		Codec   string `json:"codec"`
		Profile string `json:"profile"`
		Level   string `json:"level"`
		Width   int    `json:"width"`
		Height  int    `json:"height"`
	}
	shownAudio struct {
		Codec      string `json:"codec"`
		SampleRate int    `json:"sample_rate"`
		Channel    int    `json:"channel"`
		Profile    string `json:"profile"`
	}
	shownClient struct {
		ID       string  `json:"id"`
		Vhost    string  `json:"vhost"`
		Stream   string  `json:"stream"`
		IP       string  `json:"ip"`
		PageURL  string  `json:"pageUrl"`
		SWFURL   string  `json:"swfUrl"`
		TCURL    string  `json:"tcUrl"`
		URL      string  `json:"url"`
		Name     string  `json:"name"`
		Type     string  `json:"type"`
		Publish  bool    `json:"publish"`
		Alive    float64 `json:"alive"` // seconds
		Sent     uint64  `json:"send_bytes"`
		Received uint64  `json:"recv_bytes"`
		Rate     rate    `json:"kbps"`
	}
	shownVhost struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Enabled  bool     `json:"enabled"`
		Clients  int      `json:"clients"`
		Streams  int      `json:"streams"`
		Sent     uint64   `json:"send_bytes"`
		Received uint64   `json:"recv_bytes"`
		Rate     rate     `json:"kbps"`
		HLS      shownHLS `json:"hls"`
	}
	shownHLS struct {
		Enabled  bool    `json:"enabled"`
		Fragment float64 `json:"fragment"`
	}
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

func (a *API) streams() (out []item) {
	sessions := a.sessions()
	for _, live := range a.cfg.Streams() {
		p := a.place(live.Name)
		u := StreamURL(p.Vhost, p.App, p.Stream)
		s := shownStream{
			ID: StreamID(u), Name: p.Stream, Vhost: StreamID(p.Vhost), App: p.App, TCURL: "rtmp://" + p.Vhost + "/" + p.App, URL: u,
			LiveMS: a.cfg.Wall().UnixMilli(), Frames: live.Frames, Rate: a.rates.of("stream " + live.Name), Publish: shownPublish{Active: true},
		}
		for _, c := range sessions {
			if c.Stream != live.Name {
				continue
			}
			s.Clients++
			s.Sent += c.BytesOut
			s.Received += c.BytesIn
			if c.Publisher {
				v, _ := a.cfg.Hooks.Client(c.Remote)
				s.Publish.Client, s.TCURL = v.ID, v.TCURL
			}
		}
		s.Video, s.Audio = shownTracks(live.Tracks)
		out = append(out, item{s.ID, s})
	}
	return out
}

// The names that SRS has for the profiles of H.264 (ITU-T H.264, A.2) and of AAC (ISO/IEC 14496-3, 1.5.1).
var (
	h264Profiles = map[byte]string{66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High(10)", 122: "High(422)", 244: "High(444)"}
	aacProfiles  = map[byte]string{1: "Main", 2: "LC", 3: "SSR", 5: "HE", 29: "HEv2"}
)

func shownTracks(tracks codecs.Tracks) (v *shownVideo, a *shownAudio) {
	if i := tracks.Video(); i >= 0 {
		t := tracks[i]
		v = &shownVideo{Codec: t.Codec.String(), Width: t.Width, Height: t.Height, Profile: "Other", Level: "Other"}
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
		a = &shownAudio{Codec: t.Codec.String(), SampleRate: t.SampleRate, Channel: t.Channels, Profile: "Other"}
		if t.Codec == codecs.AAC && len(t.Config) > 0 {
			if p := aacProfiles[t.Config[0]>>3]; p != "" {
				a.Profile = p
			}
		}
	}
	return v, a
}

func (a *API) clients() (out []item) {
	for _, c := range a.sessions() {
		p := a.place(c.Stream)
		u := StreamURL(p.Vhost, p.App, p.Stream)
		s := shownClient{
			ID: c.ID, Vhost: StreamID(p.Vhost), Stream: StreamID(u), IP: c.Remote.Addr().String(), TCURL: "rtmp://" + p.Vhost + "/" + p.App,
			URL: u, Name: p.Stream, Type: string(c.Protocol) + "-play", Publish: c.Publisher,
			Sent: c.BytesOut, Received: c.BytesIn, Rate: a.rates.of("client " + c.ID),
		}
		if c.Publisher {
			s.Type = "fmle-publish"
		}
		if v, ok := a.cfg.Hooks.Client(c.Remote); ok {
			s.ID, s.TCURL, s.PageURL = v.ID, v.TCURL, v.PageURL
			s.Alive = a.cfg.Wall().Sub(v.Since).Seconds()
		}
		out = append(out, item{s.ID, s})
	}
	return out
}

func (a *API) vhosts() (out []item) {
	names := []string{DefaultVhost}
	for _, v := range *a.cfg.Cluster.vhosts.Load() {
		if v.Name != DefaultVhost {
			names = append(names, v.Name)
		}
	}
	sessions, streams := a.sessions(), a.cfg.Streams()
	for _, name := range names {
		s := shownVhost{ID: StreamID(name), Name: name, Enabled: true, Rate: a.rates.of("vhost " + name), HLS: shownHLS{true, 4}}
		for _, live := range streams {
			if a.place(live.Name).Vhost == name {
				s.Streams++
			}
		}
		for _, c := range sessions {
			if a.place(c.Stream).Vhost == name {
				s.Clients++
				s.Sent += c.BytesOut
				s.Received += c.BytesIn
			}
		}
		out = append(out, item{s.ID, s})
	}
	return out
}

// end ends the session of a client; false if there is none of that id.
func (a *API) end(id string) bool {
	for _, c := range a.sessions() {
		v, ok := a.cfg.Hooks.Client(c.Remote)
		if ok && v.ID == id || !ok && c.ID == id {
			a.cfg.Close(c.ID)
			return true
		}
	}
	return false
}

// Measure takes the counters of which rates are made, and makes the hooks forget clients that have no session. It is to be
// called every two seconds or so; now is by a clock that is not set.
func (a *API) Measure(now time.Duration) {
	by := map[string]count{}
	for _, c := range a.sessions() {
		for _, key := range []string{"client " + c.ID, "stream " + c.Stream, "vhost " + a.place(c.Stream).Vhost} {
			sum := by[key]
			sum.received += c.BytesIn
			sum.sent += c.BytesOut
			by[key] = sum
		}
	}
	a.rates.sample(now, by)
	open := map[netip.AddrPort]bool{}
	for _, c := range a.cfg.Sessions() {
		open[c.Remote] = true
	}
	a.cfg.Hooks.Sweep(a.cfg.Wall(), func(at netip.AddrPort) bool { return open[at] })
}
