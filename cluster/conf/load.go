package conf

import (
	"slices"
	"strings"

	"weir/protocols"
)

// Flags are the settings of a command line, in the form in which they are typed. Each is understood exactly as the
// directive that it stands for, so that nothing can be said by flags that the file would refuse. Empty fields say nothing.
type Flags struct {
	// These replace what the file says.
	Name, Remote, ClusterKey, LogLevel, ReturnHolddown, GeoIP string
	Listeners                                                 map[protocols.Protocol][]string

	// These add to the file, and replace the entry of the same name. A peer is HOST[:PORT], with a block behind it if it
	// needs one; a stream is NAME=URL, with further directives behind a semicolon; a vod is DIR or NAME=DIR.
	Peers, Streams, Vods []string

	// Self are names by which capture_at may mean this node although no directive says so, such as its host name.
	Self []string
}

// Parse understands a configuration file. The file is never nil; when the problems say that it failed, it holds as much
// as was understood and must not be obeyed. Filename is for messages only.
func Parse(filename string, src []byte) (*File, Problems) {
	return Load(filename, src, Flags{})
}

// Load is [Parse] with flags laid over the file. A node that runs by flags alone has no src.
func Load(filename string, src []byte, flags Flags) (*File, Problems) {
	b := &builder{
		file: &File{
			ReturnHolddown: DefaultReturnHolddown, RebalanceRate: DefaultRebalanceRate, Listeners: map[protocols.Protocol][]Listen{},
		},
		off: map[protocols.Protocol]Pos{},
	}
	list, err := parse(src, Pos{File: filename, Line: 1, Col: 1})
	if err != nil {
		b.unreadable(err)
		return b.file, b.sorted() // half a file would only bring messages that are wrong
	}
	list = b.overlay(list, flags)
	top := &scope{context: inFile, seen: map[string]Pos{}}
	for _, e := range list {
		b.walk(top, e)
	}
	b.finish(flags.Self)
	return b.file, b.sorted()
}

// overlay replaces and adds entries by what flags say.
func (b *builder) overlay(list []*entry, flags Flags) []*entry {
	replace := func(directive, flag string, values ...string) {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		if len(values) == 0 {
			return
		}
		same := find(directive, inFile).canonical()
		list = slices.DeleteFunc(list, func(e *entry) bool {
			s := find(e.name, inFile)
			return s != nil && s.canonical() == same
		})
		for _, v := range values {
			at := Pos{File: flag}
			list = append(list, &entry{name: directive, pos: at, words: []word{{text: v, pos: at}}})
		}
	}
	replace("name", "--name", flags.Name)
	replace("remote", "--remote", flags.Remote)
	replace("cluster_key", "--cluster-key", flags.ClusterKey)
	replace("loglevel", "--log", flags.LogLevel)
	replace("return_holddown", "--return-holddown", flags.ReturnHolddown)
	replace("geoip", "--geoip", flags.GeoIP)
	for _, d := range protocols.Listeners() {
		replace(d.Directive(), d.Flag(), flags.Listeners[d.Protocol]...)
	}

	for _, group := range []struct {
		directive, flag string
		values          []string
		read            func(text string, at Pos) (*entry, error)
	}{
		{"vod", "--vod", flags.Vods, vodFlag},
		{"peer", "--peer", flags.Peers, peerFlag},
		{"stream", "--stream", flags.Streams, streamFlag},
	} {
		var added []*entry
		for _, v := range group.values {
			if v == "" {
				continue
			}
			e, err := group.read(v, Pos{File: group.flag})
			if err != nil {
				b.unreadable(err)
				continue
			}
			added = append(added, e)
		}
		list = slices.DeleteFunc(list, func(e *entry) bool {
			return e.name == group.directive && slices.ContainsFunc(added, func(a *entry) bool { return sameName(a, e) })
		})
		list = append(list, added...)
	}
	return list
}

// sameName reports whether two entries of one directive name the same thing.
func sameName(a, b *entry) bool {
	if len(a.words) == 0 || len(b.words) == 0 {
		return false
	}
	if a.name != "peer" {
		return a.words[0].text == b.words[0].text
	}
	ah, ap, aerr := parsePeerName(a.words[0].text)
	bh, bp, berr := parsePeerName(b.words[0].text)
	return aerr == nil && berr == nil && ah == bh && ap == bp
}

// peerFlag reads HOST[:PORT], with or without a block behind it.
func peerFlag(text string, at Pos) (*entry, error) {
	list, err := parse([]byte("peer "+text), at)
	if err == nil && len(list) != 1 {
		err = errorAt(at, "found %d directives, expected one peer", len(list))
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// vodFlag reads DIR or NAME=DIR.
func vodFlag(text string, at Pos) (*entry, error) {
	name, dir, ok := strings.Cut(text, "=")
	if !ok || strings.ContainsAny(name, "/.\\") {
		name, dir = DefaultVod, text
	}
	return &entry{name: "vod", pos: at, words: []word{{text: name, pos: at}}, hasBlock: true, kids: []*entry{
		{name: "root", pos: at, words: []word{{text: dir, pos: at}}},
	}}, nil
}

// streamFlag reads NAME=URL[; DIRECTIVE …].
func streamFlag(text string, at Pos) (*entry, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return nil, errorAt(at, "found %s, expected NAME=URL", quote(text))
	}
	url, more, _ := strings.Cut(rest, ";")
	kids, err := parse([]byte(more), at)
	if err != nil {
		return nil, err
	}
	input := &entry{name: "input", pos: at, words: []word{{text: strings.TrimSpace(url), pos: at}}}
	return &entry{name: "stream", pos: at, words: []word{{text: name, pos: at}}, hasBlock: true, kids: append([]*entry{input}, kids...)}, nil
}
