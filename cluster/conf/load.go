package conf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

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
	doc := parseText(filename, src, &b.report)
	if b.fatal > 0 {
		return b.file, b.sorted() // half a file would only bring messages that are wrong
	}
	list := b.overlay(entries(doc.Directives), flags)
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
			list = append(list, &entry{name: directive, pos: at, words: []word{{text: v, pos: at}}, head: directive})
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
		tokens          func(flag, text string) ([]lexer.Token, error)
	}{
		{"vod", "--vod", flags.Vods, vodTokens},
		{"peer", "--peer", flags.Peers, peerTokens},
		{"stream", "--stream", flags.Streams, streamTokens},
	} {
		var added []*entry
		for _, v := range group.values {
			if v == "" {
				continue
			}
			added = append(added, b.flagEntries(group.directive, group.flag, v, group.tokens)...)
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

// flagEntries reads the directive that a flag stands for.
func (b *builder) flagEntries(directive, flag, text string, cut func(flag, text string) ([]lexer.Token, error)) []*entry {
	list, err := cut(flag, text)
	if err != nil {
		reportLex(err, &b.report)
		return nil
	}
	at := lexer.Position{Filename: flag}
	list = slices.Concat([]lexer.Token{{Type: tokWord, Value: directive, Pos: at}}, list)
	list = append(ended(list, flag), lexer.EOFToken(at))
	for i := range list {
		list[i].Pos.Offset = i // no two tokens in one place, so that a message is about the right one
	}
	before := b.fatal
	es := entries(parseTokens(list, &b.report).Directives)
	if b.fatal > before {
		return nil
	}
	if len(es) != 1 {
		b.errorf(Pos{File: flag}, "found %d directives, expected one %s", len(es), directive)
		return nil
	}
	return es
}

func peerTokens(flag, text string) ([]lexer.Token, error) { return bareTokens(flag, text) }

// vodTokens turns DIR or NAME=DIR into the words of `vod NAME { root DIR; }`.
func vodTokens(flag, text string) ([]lexer.Token, error) {
	name, dir, ok := strings.Cut(text, "=")
	if !ok || strings.ContainsAny(name, "/.\\") {
		name, dir = DefaultVod, text
	}
	return []lexer.Token{
		flagToken(flag, tokQuoted, name), flagToken(flag, tokOpen, "{"),
		flagToken(flag, tokWord, "root"), flagToken(flag, tokQuoted, dir), flagToken(flag, tokSemicolon, ";"),
		flagToken(flag, tokClose, "}"),
	}, nil
}

// streamTokens turns NAME=URL[; DIRECTIVE …] into the words of `stream NAME { input URL; DIRECTIVE … }`.
func streamTokens(flag, text string) ([]lexer.Token, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return nil, &lexError{pos: Pos{File: flag}, text: fmt.Sprintf("found %s, expected NAME=URL", quote(maskURL(text)))}
	}
	url, more, _ := strings.Cut(rest, ";")
	list := []lexer.Token{
		flagToken(flag, tokQuoted, name), flagToken(flag, tokOpen, "{"),
		flagToken(flag, tokWord, "input"), flagToken(flag, tokQuoted, strings.TrimSpace(url)), flagToken(flag, tokSemicolon, ";"),
	}
	inner, err := bareTokens(flag, more)
	if err != nil {
		return nil, err
	}
	return append(ended(append(list, inner...), flag), flagToken(flag, tokClose, "}")), nil
}

// ended supplies the semicolon that may be left out at the end of a flag.
func ended(list []lexer.Token, flag string) []lexer.Token {
	switch list[len(list)-1].Type {
	case tokSemicolon, tokOpen, tokClose:
		return list
	default:
		return append(list, flagToken(flag, tokSemicolon, ";"))
	}
}

func flagToken(flag string, kind lexer.TokenType, text string) lexer.Token {
	return lexer.Token{Type: kind, Value: text, Pos: lexer.Position{Filename: flag}}
}
