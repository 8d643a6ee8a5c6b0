package conf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a file. The largest real file, with 2,000 streams, has 200 kB.
const (
	maxFile   = 4 << 20 // in bytes
	maxTokens = 500_000 // a file with 2,000 streams has some 20,000
	maxDepth  = 16      // nested blocks; no known directive needs more than 4
)

// A kind is the kind of a token. An unquoted word ends before white space, `;`, `{` or `}`. An unquoted word that begins with
// `key=`, where key is an identifier, is an option token. Only a directive with a block treats it as an option; for others it is
// an ordinary word, so a cluster key that ends in `=` needs no quotes.
type kind uint8

const (
	wordToken kind = iota
	quotedToken
	optionToken
	semicolon
	openBrace
	closeBrace
	endOfText
)

// A token is a word, or one of the characters `;`, `{` and `}` between words.
type token struct {
	kind kind
	text string // a word without its quotes, or the character
	pos  Pos
	at   int // byte offset of its first character
}

// A scanner cuts a text into tokens.
type scanner struct {
	src   string
	at    int // byte offset of the next character
	pos   Pos // of the next character; its line and column stay 0 in the text of a flag
	count int // the number of tokens so far
}

// newScanner makes the scanner of a text that begins at pos.
func newScanner(src []byte, pos Pos) *scanner {
	return &scanner{src: strings.TrimPrefix(string(src), "\ufeff"), pos: pos}
}

// errorAt makes an error at a place.
func errorAt(at Pos, format string, args ...any) *Problem {
	return &Problem{Pos: at, Severity: Error, Text: fmt.Sprintf(format, args...)}
}

// peek gives the next character without taking it, or -1 at the end.
func (s *scanner) peek() rune {
	if s.at >= len(s.src) {
		return -1
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.at:])
	return r
}

func (s *scanner) take() (rune, *Problem) {
	r, n := utf8.DecodeRuneInString(s.src[s.at:])
	if r == utf8.RuneError && n < 2 {
		return 0, errorAt(s.pos, "found byte 0x%02x, expected UTF-8 text", s.src[s.at])
	}
	if unicode.IsControl(r) && !isSpace(r) {
		return 0, errorAt(s.pos, "found control character U+%04X, expected text", r)
	}
	s.at += n
	if s.pos.Line > 0 {
		s.pos.Col++
		if r == '\n' {
			s.pos.Line, s.pos.Col = s.pos.Line+1, 1
		}
	}
	return r, nil
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// endsWord reports whether r, or the end of the file, ends a word.
func endsWord(r rune) bool { return r < 0 || isSpace(r) || r == ';' || r == '{' || r == '}' }

// next gives the next token; the last one is endOfText.
func (s *scanner) next() (token, *Problem) {
	if err := s.skip(); err != nil {
		return token{}, err
	}
	r := s.peek()
	t := token{pos: s.pos, at: s.at, text: string(r)}
	if r < 0 {
		t.kind = endOfText
		return t, nil
	}
	if s.count++; s.count > maxTokens {
		return t, errorAt(t.pos, "found more than %d words, expected a smaller file", maxTokens)
	}
	switch r {
	case ';':
		t.kind = semicolon
	case '{':
		t.kind = openBrace
	case '}':
		t.kind = closeBrace
	case '"', '\'':
		text, err := s.Quoted()
		t.kind, t.text = quotedToken, text
		return t, err
	default:
		return s.word(t)
	}
	_, err := s.take()
	return t, err
}

// skip passes over white space and comments. A comment begins only where a word could begin, so a URL may contain `#`.
func (s *scanner) skip() *Problem {
	comment := false
	for s.at < len(s.src) {
		r := s.peek()
		switch {
		case comment:
			comment = r != '\n'
		case r == '#':
			comment = true
		case !isSpace(r):
			return nil
		}
		if _, err := s.take(); err != nil {
			return err
		}
	}
	return nil
}

// word reads an unquoted word into t; a quote directly behind `key=` begins a quoted value.
func (s *scanner) word(t token) (token, *Problem) {
	var b strings.Builder
	key := true // the characters so far may be the key of an option
	for !endsWord(s.peek()) {
		r, err := s.take()
		if err != nil {
			return t, err
		}
		b.WriteRune(r)
		if r == '=' && key && b.Len() > 1 {
			key = false
			t.kind = optionToken
			if q := s.peek(); q == '"' || q == '\'' {
				text, err := s.Quoted()
				if err != nil {
					return t, err
				}
				b.WriteString(text)
				break
			}
		}
		key = key && isIdentifier(r, b.Len() == 1)
	}
	t.text = b.String()
	return t, nil
}

func isIdentifier(r rune, first bool) bool {
	letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return letter || !first && ('0' <= r && r <= '9' || r == '-' || r == '.')
}

// quoted reads a quoted string. It must end on the line on which it begins, and the word must end with it.
func (s *scanner) Quoted() (string, *Problem) {
	open := s.pos
	q, err := s.take()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		switch r := s.peek(); {
		case r < 0 || r == '\n':
			return "", errorAt(open, "found a string that is not closed on its line, expected a closing %c", q)
		case r == q:
			if _, err := s.take(); err != nil {
				return "", err
			}
			if after := s.peek(); !endsWord(after) {
				return "", errorAt(s.pos, "found %q directly after a quoted string, expected white space, `;` or `{`", after)
			}
			return b.String(), nil
		case r == '\\':
			e, err := s.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(e)
		default:
			if r, err = s.take(); err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
}

// escape reads a backslash and the character behind it.
func (s *scanner) escape() (rune, *Problem) {
	at := s.pos
	if _, err := s.take(); err != nil {
		return 0, err
	}
	r := s.peek()
	switch r {
	case '"', '\'', '\\':
	case 'n':
		r = '\n'
	case 't':
		r = '\t'
	case 'r':
		r = '\r'
	default:
		return 0, errorAt(at, `found a backslash in a string, expected one of \" \' \\ \n \t \r`)
	}
	if _, err := s.take(); err != nil {
		return 0, err
	}
	return r, nil
}
