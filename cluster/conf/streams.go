package conf

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// hlsSourceTimeout is the default of source_timeout for playlists, which come in large pieces.
const hlsSourceTimeout = 3 * time.Minute

// inherit gives a stream what it does not say itself and its template does.
func (b *builder) inherit(st *streamDraft) {
	if st.inherits == (word{}) {
		return
	}
	i := slices.IndexFunc(b.templates, func(t *streamDraft) bool { return t.Name == st.inherits.text })
	if i < 0 {
		names := make([]string, 0, len(b.templates))
		for _, t := range b.templates {
			names = append(names, t.Name)
		}
		b.errorf(st.inherits.pos, "`template`: found %s, expected a template of the file%s", quote(st.inherits.text), didYouMean(st.inherits.text, names))
		return
	}
	t := b.templates[i]
	if len(st.inputs) == 0 {
		for _, in := range t.inputs {
			own := *in
			st.inputs = append(st.inputs, &own)
		}
	}
	if st.Ingest == nil && t.Ingest != nil {
		in := *t.Ingest
		st.Ingest, st.capture = &in, t.capture
	}
	if st.Title == "" {
		st.Title = t.Title
	}
	if st.sourceTimeout == 0 {
		st.sourceTimeout = t.sourceTimeout
	}
	if st.clientsTimeout == 0 {
		st.clientsTimeout, st.clients = t.clientsTimeout, t.clients
	}
	st.own = st.own.over(t.own)
}

// settle fills in what a stream's inputs and clients take from it, or from nowhere.
func (b *builder) settle(st *streamDraft) {
	st.Inputs = nil
	for i, d := range st.inputs {
		in := d.Input
		if in.Priority == 0 {
			in.Priority = i + 1
		}
		if in.SourceTimeout == 0 {
			in.SourceTimeout = st.sourceTimeout
		}
		if in.SourceTimeout == 0 {
			in.SourceTimeout = DefaultSourceTimeout
			if in.Form == HLS {
				in.SourceTimeout = hlsSourceTimeout
			}
		}
		st.Inputs = append(st.Inputs, in)
	}
	switch {
	case st.Static:
		if st.clientsTimeout != 0 {
			b.warnf(st.clients, "clients_timeout says nothing of `stream %s`, which is captured without clients; it is for `ondemand`", short(st.Name))
		}
		st.ClientsTimeout = 0
	case st.clientsTimeout == 0:
		st.ClientsTimeout = DefaultClientsTimeout
	default:
		st.ClientsTimeout = st.clientsTimeout
	}
	if !st.Static && len(st.Inputs) > 0 && !slices.ContainsFunc(st.Inputs, func(in Input) bool { return in.Scheme != "publish" }) {
		b.errorf(st.Pos, "found `%s` with no other input than publish://, expected `stream %s`: it starts with its publisher, not with a client",
			"ondemand "+short(st.Name), short(st.Name))
	}
	st.Delivery = st.own.over(b.global).complete()
}

func (b *builder) finishTemplates(self []string) {
	seen := map[string]Pos{}
	for _, t := range b.templates {
		b.checkFiles(t)
		if t.prefix == (word{}) {
			continue
		}
		p := t.prefix
		if err := CheckName(p.text+"/x", b.file.BalancerNames()); err != nil {
			b.refuse(p.pos, "prefix", err)
		}
		if before, twice := seen[p.text]; twice {
			b.errorf(p.pos, "found `prefix %s` a second time, expected it once; the first is at %s", short(p.text), before.place())
			continue
		}
		seen[p.text] = p.pos
		for _, in := range t.inputs {
			if in.Scheme != "publish" {
				b.add(Unsupported, in.Pos, "an input other than publish:// in a template with a prefix")
			}
		}
		if len(t.inputs) == 0 {
			b.errorf(t.Pos, "found `template %s` with a prefix and without an input, expected `input publish://;` in it", short(t.Name))
		}
		own := *t
		own.Name = ""
		b.settle(&own)
		b.pin(&own, self)
		b.file.Templates = append(b.file.Templates, Template{Name: t.Name, Prefix: p.text, Stream: own.Stream, Pos: t.Pos})
	}
}

func (b *builder) finishSources(self []string) {
	for _, s := range b.sources {
		if s.ClusterKey == "" && !s.Plain {
			if b.file.ClusterKey == "" {
				b.keyless = append(b.keyless, keyless{"source", s.Pos})
			}
			s.ClusterKey = b.file.ClusterKey
		}
		if s.Plain && len(s.Only) == 0 {
			b.errorf(s.Pos, "found `source %s` without names of streams, expected `only NAME …;` in it: a server of that kind does not say which it has", s.Name)
		}
		for _, name := range s.Only {
			if slices.Contains(s.Except, name) {
				b.errorf(s.Pos, "`source %s`: found %s both in `only` and in `except`, expected it in one", s.Name, quote(name))
			}
		}
		st := s.stream
		if st.clientsTimeout == 0 {
			st.clientsTimeout = DefaultClientsTimeout
		}
		s.Stream = st.Stream
		s.Stream.ClientsTimeout = st.clientsTimeout // for those that the origin has on demand
		s.Stream.Delivery = st.own.over(b.global).complete()
		s.Stream.Inputs = []Input{{SourceTimeout: st.sourceTimeout}}
		if st.sourceTimeout == 0 {
			s.Stream.Inputs[0].SourceTimeout = DefaultSourceTimeout
		}
		if st.Ingest != nil {
			if b.file.ClusterKey == "" {
				b.keyless = append(b.keyless, keyless{"cluster_ingest", st.Ingest.Pos})
			}
			b.pin(st, self)
		}
		b.file.Sources = append(b.file.Sources, s.Source)
	}
}

// Streams are those of a plain server, by the names that the source lists; nil for a node.
func (s Source) Streams() []Stream {
	if !s.Plain {
		return nil
	}
	var out []Stream
	for _, name := range s.Only {
		in := Input{URL: s.URL + "/" + name, Pos: s.Pos}
		in.Scheme, _, _ = strings.Cut(in.URL, "://")
		if strings.HasPrefix(in.Scheme, "http") {
			in.URL += ".flv"
		}
		if _, err := pulled(&in, in.URL[len(in.Scheme)+len("://"):]); err != nil {
			continue // the name makes no URL
		}
		out = append(out, s.Restream(name, in, true))
	}
	return out
}

// Restream is a stream of the source: name is the origin's name of it, in what brings it, and static says that it is
// captured without a client.
func (s Source) Restream(name string, in Input, static bool) Stream {
	st := s.Stream
	st.Name = name
	if s.Prefix != "" {
		st.Name = s.Prefix + "/" + name
	}
	in.Priority, in.SourceTimeout = 1, s.Stream.Inputs[0].SourceTimeout
	st.Inputs = []Input{in}
	if st.Static = static; static {
		st.ClientsTimeout = 0
	}
	st.Pos, st.Restreamed = s.Pos, true
	return st
}

// Shown is the input's URL without a password.
func (in Input) Shown() string { return maskURL(in.URL) }

// Template gives the template that makes a stream of this name, or nil.
func (f *File) Template(name string) *Template {
	best := -1
	for i, t := range f.Templates {
		if strings.HasPrefix(name, t.Prefix+"/") && (best < 0 || len(t.Prefix) > len(f.Templates[best].Prefix)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return &f.Templates[best]
}

// hashDerived adds what streams are derived from. A file without templates and sources adds nothing.
func (f *File) hashDerived(h io.Writer) {
	var lines []string
	for _, t := range f.Templates {
		lines = append(lines, fmt.Sprintf("template %q %s", t.Prefix, ingestWords(t.Stream.Ingest)))
	}
	for _, s := range f.Sources {
		lines = append(lines, fmt.Sprintf("source %q %t %q %q %q %s", s.URL, s.OnlyGiven, slices.Sorted(slices.Values(s.Only)),
			slices.Sorted(slices.Values(s.Except)), s.Prefix, ingestWords(s.Stream.Ingest)))
	}
	slices.Sort(lines)
	for _, l := range lines {
		put(h, l)
	}
}

func ingestWords(in *Ingest) string {
	if in == nil {
		return "alone"
	}
	return fmt.Sprintf("%q %s %s", in.CaptureAt, in.Handover, in.Partition)
}

// seconds is a duration as the file gives it.
func seconds(d time.Duration) string { return fmt.Sprint(int64(d / time.Second)) }
