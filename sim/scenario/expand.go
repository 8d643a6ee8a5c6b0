package scenario

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"weir/cluster/conf"
)

// maxConf bounds a configuration whose ranges have been written out, in bytes; the node's parser takes no more.
const maxConf = 4 << 20

// An expansion is a configuration with its ranges written out. For every byte it knows where it came from, so that
// messages are about what the author wrote.
type expansion struct {
	text []byte
	from []int32 // index into the source, of each byte of text
}

func (e *expansion) add(src string, at, end int) {
	for ; at < end; at++ {
		e.text, e.from = append(e.text, src[at]), append(e.from, int32(at))
	}
}

func (e *expansion) addText(s string, at int) {
	for i := range len(s) {
		e.text, e.from = append(e.text, s[i]), append(e.from, int32(at))
	}
}

// A confFault is a range that cannot be written out.
type confFault struct {
	at   int // index into the source
	text string
}

// expandConf writes out `stream cam[01..30] { … }` and `peer n[1..5]:8080;`: the directive once for each name. The same
// range inside the block, as in an input's URL, becomes the same number.
func expandConf(src string) (*expansion, *confFault) {
	e := &expansion{}
	s := confScan{src: src}
	for {
		start := s.at
		s.skip()
		e.add(src, start, s.at)
		if s.at >= len(src) {
			return e, nil
		}
		begin := s.at
		directive := s.word()
		s.skip()
		nameAt := s.at
		name := s.word()
		end := s.statementEnd()
		if directive != "stream" && directive != "ondemand" && directive != "peer" || !isRange(name) {
			e.add(src, begin, end)
			continue
		}
		if fault := e.repeat(src, begin, end, nameAt, name); fault != nil {
			return nil, fault
		}
	}
}

// isRange says whether an unquoted name stands for several.
func isRange(name string) bool {
	return strings.Contains(name, "..") && strings.Contains(name, "[") && !strings.HasPrefix(name, `"`) && !strings.HasPrefix(name, "'")
}

// repeat writes the directive from begin to end once for each name.
func (e *expansion) repeat(src string, begin, end, nameAt int, name string) *confFault {
	names, err := expandName(name)
	if err != nil {
		return &confFault{nameAt, err.Error()}
	}
	if len(names)*(end-begin) > maxConf {
		return &confFault{nameAt, fmt.Sprintf("found a range of %d names, expected a configuration of at most %d bytes", len(names), maxConf)}
	}
	open, shut := strings.IndexByte(name, '['), strings.IndexByte(name, ']')
	literal := name[open : shut+1]
	for i, n := range names {
		number := n[open : len(n)-len(name[shut+1:])]
		for at := begin; at < end; {
			switch {
			case strings.HasPrefix(src[at:end], literal):
				e.addText(number, at)
				at += len(literal)
			case i > 0 && src[at] == '\n':
				e.addText(" ", at) // the copies stand on one line, so that lines keep their numbers
				at++
			case i > 0 && src[at] == '#' && (at == begin || strings.IndexByte(" \t\n;{}", src[at-1]) >= 0):
				for at < end && src[at] != '\n' {
					at++
				}
			default:
				e.add(src, at, at+1)
				at++
			}
		}
		e.addText(" ", end-1)
	}
	return nil
}

// place finds where a place in the written-out text stands in the source. Both count from 1.
func (e *expansion) place(src string, line, col int) (int, int) {
	at := offset(string(e.text), line, col)
	if len(e.from) == 0 {
		return 1, 1
	}
	origin := len(src)
	if at < len(e.from) {
		origin = int(e.from[at])
	}
	return position(src, origin)
}

// offset is the index of a place in a text, which has to exist or to be its end.
func offset(text string, line, col int) int {
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	for ; col > 1 && at < len(text); col-- {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

// position is the line and the column, in characters, of an index.
func position(text string, at int) (line, col int) {
	before := text[:min(at, len(text))]
	line = strings.Count(before, "\n") + 1
	return line, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// shift moves problems from the written-out text to the file that the source is a section of.
func (e *expansion) shift(problems conf.Problems, src, file string, first int) conf.Problems {
	for i := range problems {
		at := &problems[i].Pos
		if at.Line == 0 {
			continue
		}
		line, col := e.place(src, at.Line, at.Col)
		*at = conf.Pos{File: file, Line: line + first - 1, Col: col}
	}
	return problems
}

// confScan finds the ends of directives in a configuration, by the node's own rules about words, strings and comments.
type confScan struct {
	src string
	at  int
}

func (s *confScan) skip() {
	for s.at < len(s.src) {
		switch c := s.src[s.at]; {
		case c == '#':
			for s.at < len(s.src) && s.src[s.at] != '\n' {
				s.at++
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			s.at++
		default:
			return
		}
	}
}

// word reads a word, or one of ; { }.
func (s *confScan) word() string {
	begin := s.at
	if s.at < len(s.src) && strings.IndexByte(";{}", s.src[s.at]) >= 0 {
		return ""
	}
	for s.at < len(s.src) && strings.IndexByte(" \t\r\n;{}", s.src[s.at]) < 0 {
		if c := s.src[s.at]; (c == '"' || c == '\'') && (s.at == begin || s.src[s.at-1] == '=') {
			s.quoted(c)
			continue
		}
		s.at++
	}
	return s.src[begin:s.at]
}

func (s *confScan) quoted(q byte) {
	for s.at++; s.at < len(s.src) && s.src[s.at] != q && s.src[s.at] != '\n'; s.at++ {
		if s.src[s.at] == '\\' {
			s.at++
		}
	}
	s.at = min(s.at+1, len(s.src))
}

// statementEnd goes behind the end of the directive: its semicolon, or the brace that closes its block.
func (s *confScan) statementEnd() int {
	for depth := 0; ; {
		s.skip()
		if s.at >= len(s.src) {
			return s.at
		}
		switch s.src[s.at] {
		case ';':
			s.at++
			if depth == 0 {
				return s.at
			}
		case '{':
			s.at++
			depth++
		case '}':
			s.at++
			if depth--; depth <= 0 {
				return s.at
			}
		default:
			s.word()
		}
	}
}
