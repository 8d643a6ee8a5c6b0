package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"weir/cluster/conf"
)

// A mediaMTXPath is what MediaMTX's file says of a path, by the name of the setting.
type mediaMTXPath map[string]any

// mediaMTXFile is what is read of MediaMTX's file; everything else is looked for by name.
type mediaMTXFile struct {
	Defaults mediaMTXPath            `yaml:"pathDefaults"`
	Paths    map[string]mediaMTXPath `yaml:"paths"`
	Rest     map[string]any          `yaml:",inline"`
}

// fromMediaMTX converts a file of MediaMTX.
func fromMediaMTX(w *converted, src []byte) error {
	var f mediaMTXFile
	if err := yaml.Unmarshal(src, &f); err != nil {
		return fmt.Errorf("reading it as YAML: %w", err)
	}
	if f.Paths == nil && f.Defaults == nil && len(f.Rest) == 0 {
		return errors.New("it has none of MediaMTX's settings, such as `paths:`")
	}
	f.listeners(w)
	for _, key := range slices.Sorted(maps.Keys(f.Rest)) {
		f.setting(w, key)
	}
	w.WriteByte('\n')
	for _, key := range slices.Sorted(maps.Keys(f.Paths)) {
		f.path(w, key)
	}
	return nil
}

// mediaMTXListeners are the listeners of MediaMTX that weir has, with the port that MediaMTX uses if its file says none.
var mediaMTXListeners = []struct{ on, address, directive, port string }{
	{"rtsp", "rtspAddress", "rtsp", "8554"},
	{"rtmp", "rtmpAddress", "rtmp", "1935"},
	{"hls", "hlsAddress", "http", "8888"},
}

func (f *mediaMTXFile) listeners(w *converted) {
	for _, l := range mediaMTXListeners {
		address := strings.TrimPrefix(text(f.Rest, l.address), ":")
		on, said := f.Rest[l.on]
		closed := said && off(on)
		switch {
		case closed && l.directive == "http":
			w.remark("HLS was off; HTTP serves the API too.")
			w.line("http", l.port)
		case closed:
			w.line(l.directive, "off")
		case address == "":
			w.line(l.directive, l.port)
		default:
			w.line(l.directive, address)
		}
		delete(f.Rest, l.on)
		delete(f.Rest, l.address)
	}
	f.rtsps(w)
	if level := text(f.Rest, "logLevel"); level != "" {
		w.line("loglevel", level)
		delete(f.Rest, "logLevel")
	}
}

// rtsps carries over the listener for RTSPS and its certificate.
func (f *mediaMTXFile) rtsps(w *converted) {
	key, certificate := text(f.Rest, "rtspServerKey"), text(f.Rest, "rtspServerCert")
	certified := key != "" && certificate != ""
	encrypts := !off(f.Rest["rtspEncryption"]) && !off(f.Rest["encryption"])
	if !encrypts && !certified {
		return
	}
	w.line("rtsps", strings.TrimPrefix(cmp.Or(text(f.Rest, "rtspsAddress"), "8322"), ":"))
	if certified {
		w.line("certificate", certificate, key)
	}
	for _, name := range []string{"rtspsAddress", "rtspServerKey", "rtspServerCert", "rtspEncryption", "encryption"} {
		delete(f.Rest, name)
	}
}

// mediaMTXReasons say why a setting has no counterpart, by a pattern of its name. Settings that match none are left out without a word
// if they are off or empty.
var mediaMTXReasons = []struct {
	name *regexp.Regexp
	why  string
}{
	{askedFor, "see the warning above; `edit_auth` and `view_auth` are for the API"},
	{regexp.MustCompile(`Fingerprint$`), "weir knows servers by authorities: `trusted_ca FILE` in the input"},
	{regexp.MustCompile(`^srt|^webrtc`), "not supported yet"},
	{regexp.MustCompile(`Encryption|ServerKey|ServerCert|^rtmps|^rtsps`), "give certificates to weir's own listeners"},
	{regexp.MustCompile(`^(api|metrics|pprof|playback)`), "API and metrics are served by `http`, at /streamer/api/v3 and /metrics"},
	{regexp.MustCompile(`^record`), "recording is not supported"},
	{regexp.MustCompile(`^runOn`), "commands are not supported; the API tells events"},
	{regexp.MustCompile(`^rpiCamera`), "let a program on the Raspberry Pi publish"},
	{regexp.MustCompile(`^hls`), "weir's HLS has segments of 4 s, in TS and fragmented MP4, without a setting"},
	{regexp.MustCompile(`^source|^rtspTransport|^rtspAnyPort|^rtspRange`), "weir finds the transport by itself"},
	{regexp.MustCompile(`^(fallback|maxReaders|useAbsoluteTimestamp|alwaysAvailable)`), "no counterpart; several `input` lines of a stream replace each other"},
}

// askedFor are the settings by which MediaMTX asks publishers and viewers who they are.
var askedFor = regexp.MustCompile(`^auth|^externalAuth|User$|Pass$|Ips$`)

func mediaMTXReason(name string) string {
	for _, r := range mediaMTXReasons {
		if r.name.MatchString(name) {
			return r.why
		}
	}
	return "no counterpart"
}

func (f *mediaMTXFile) setting(w *converted, name string) {
	v := f.Rest[name]
	if off(v) {
		return
	}
	w.settingLeftOut(name, v)
}

// settingLeftOut names a setting that has no counterpart. What is said of passwords is not repeated.
func (w *converted) settingLeftOut(name string, value any) {
	if !askedFor.MatchString(name) {
		w.leftOut(name+": "+short(value), mediaMTXReason(name))
		return
	}
	if text := fmt.Sprint(value); text != "internal" && !anybody(value) {
		w.warn(opened)
	}
	w.leftOut(name, mediaMTXReason(name))
}

// anybody says whether a list of MediaMTX's users lets anybody publish and read without a password, as its own example does.
func anybody(value any) bool {
	users, _ := value.([]any)
	may := map[string]bool{}
	for _, u := range users {
		user, _ := u.(map[string]any)
		if text(user, "user") != "any" || !off(user["pass"]) || !off(user["ips"]) {
			continue
		}
		permissions, _ := user["permissions"].([]any)
		for _, p := range permissions {
			if permission, _ := p.(map[string]any); off(permission["path"]) {
				may[text(permission, "action")] = true
			}
		}
	}
	return may["publish"] && may["read"]
}

// anyPath are the names by which MediaMTX means every path.
var anyPath = []string{"all", "all_others", "~^.*$", "~.*"}

var prefixPattern = regexp.MustCompile(`^~\^([\w-]+)/(\.[*+]\$?)?$`)

// path writes a stream, a template or a comment for a path.
func (f *mediaMTXFile) path(w *converted, name string) {
	p := maps.Clone(f.Defaults)
	if p == nil {
		p = mediaMTXPath{}
	}
	maps.Copy(p, f.Paths[name])
	source := text(p, "source")
	published := source == "" || source == "publisher"
	prefix := prefixPattern.FindStringSubmatch(name)
	switch {
	case slices.Contains(anyPath, name) && published:
		w.remark("Any name of the form APP/NAME may be published.")
		w.open("vhost", "__defaultVhost__")
		w.close()
		return
	case prefix != nil && published:
		w.open("template", prefix[1])
		w.line("prefix", prefix[1])
	case !strings.HasPrefix(name, "~") && conf.CheckName(name, nil) != nil:
		w.leftOut("the path "+name, conf.CheckName(name, nil).Error())
		return
	case strings.HasPrefix(name, "~") || slices.Contains(anyPath, name):
		w.leftOut("the path "+name, "streams have names; `template NAME { prefix PREFIX; … }` stands for all below a prefix")
		return
	case p.onDemand():
		w.open("ondemand", name)
		if d, err := time.ParseDuration(text(p, "sourceOnDemandCloseAfter")); err == nil && d >= time.Second {
			w.line("clients_timeout", strconv.Itoa(int(d.Seconds())))
		}
	default:
		w.open("stream", name)
	}
	p.inside(w, source, published)
	w.close()
}

func (p mediaMTXPath) onDemand() bool { return !off(p["sourceOnDemand"]) }

// carried are the settings of a path that path and inside carry over.
var carried = []string{"source", "sourceOnDemand", "sourceOnDemandCloseAfter", "sourceOnDemandStartTimeout", "overridePublisher"}

func (p mediaMTXPath) inside(w *converted, source string, published bool) {
	scheme, _, _ := strings.Cut(source, "://")
	switch {
	case published:
		w.warn("publishers come over RTMP: publishing by RTSP, SRT and WebRTC is not supported yet")
		w.line("input", "publish://")
		if v, ok := p["overridePublisher"]; ok && off(v) {
			w.line("publish_takeover", "never")
		} else {
			w.line("publish_takeover", "always")
		}
	case slices.Contains([]string{"rtsp", "rtsps", "rtmp", "rtmps", "http", "https"}, scheme):
		w.line("input", source)
	default:
		w.leftOut("source: "+source, "not supported yet; `disabled` keeps the name")
		w.line("disabled")
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !slices.Contains(carried, name) && !off(p[name]) {
			w.settingLeftOut(name, p[name])
		}
	}
}

// text is a setting as text; empty if it is not given.
func text(m map[string]any, name string) string {
	if v, ok := m[name]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// off says whether a setting says no, or nothing.
func off(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == "" || v == "no" || v == "off" || v == "false"
	case int:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// short is a setting in a remark.
func short(v any) string {
	s := strings.Join(strings.Fields(fmt.Sprint(v)), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
