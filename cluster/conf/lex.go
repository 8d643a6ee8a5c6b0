package conf

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// The limits of a file. The largest real one, 2,000 streams, has 200 kB.
const (
	maxFile   = 4 << 20 // in bytes
	maxTokens = 500_000 // 2,000 streams need some 20,000
	maxDepth  = 16      // nested blocks; the deepest directive known needs 4
)

// The kinds of tokens. A word is anything up to white space, `;`, `{` or `}`. An option is a word that begins with
// `key=`, key being an identifier; whether it is taken for an option or for text is up to the directive, so that keys
// that end in `=` need no quotes.
const (
	tokWord lexer.TokenType = -(iota + 2)
	tokQuoted
	tokOption
	tokSemicolon
	tokOpen
	tokClose
)

// A rules value is the lexer definition that the grammar is built on.
type rules struct{}

// Symbols implements [lexer.Definition].
func (rules) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF":       lexer.EOF,
		"Word":      tokWord,
		"Quoted":    tokQuoted,
		"Option":    tokOption,
		"Semicolon": tokSemicolon,
		"Open":      tokOpen,
		"Close":     tokClose,
	}
}

// Lex implements [lexer.Definition]. The parser itself is fed from a slice of tokens; this is for participle's own use.
func (rules) Lex(filename string, r io.Reader) (lexer.Lexer, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filename, err)
	}
	toks, err := tokenize(filename, src, true)
	if err != nil {
		return nil, err
	}
	return &tokens{list: toks}, nil
}

// tokens is a lexer over what has been read already.
type tokens struct {
	list []lexer.Token
	next int
}

// Next implements [lexer.Lexer].
func (t *tokens) Next() (lexer.Token, error) {
	if t.next >= len(t.list) {
		var at lexer.Position
		if n := len(t.list); n > 0 {
			at = t.list[n-1].Pos
		}
		return lexer.EOFToken(at), nil
	}
	t.next++
	return t.list[t.next-1], nil
}

// A scanner cuts a file into tokens.
type scanner struct {
	file      string
	src       string
	at        int // byte offset of the next character
	line, col int // of the next character; zero throughout for the text of a flag
	counting  bool
}

// A lexError is text that is no token.
type lexError struct {
	pos  Pos
	text string
}

func (e *lexError) Error() string { return e.pos.String() + ": " + e.text }

// tokenize cuts src into tokens; the last one is EOF. Without counting, all positions are line 0, as for a flag. Its
// error is a *lexError.
func tokenize(file string, src []byte, counting bool) ([]lexer.Token, error) {
	s := &scanner{file: file, src: strings.TrimPrefix(string(src), "\ufeff"), counting: counting}
	if counting {
		s.line, s.col = 1, 1
	}
	if len(src) > maxFile {
		return nil, s.errorf(s.pos(), "found a file of %d bytes, expected at most %d", len(src), maxFile)
	}
	var list []lexer.Token
	for {
		t, err := s.scan()
		if err != nil {
			return nil, err
		}
		list = append(list, t)
		if t.Type == lexer.EOF {
			return list, nil
		}
		if len(list) > maxTokens {
			return nil, s.errorf(t.Pos, "found more than %d words, expected a smaller file", maxTokens)
		}
	}
}

func fromLexer(p lexer.Position) Pos { return Pos{File: p.Filename, Line: p.Line, Col: p.Column} }

func (s *scanner) pos() lexer.Position {
	return lexer.Position{Filename: s.file, Offset: s.at, Line: s.line, Column: s.col}
}

func (s *scanner) errorf(at lexer.Position, format string, args ...any) error {
	return &lexError{pos: fromLexer(at), text: fmt.Sprintf(format, args...)}
}

// peek gives the next character without taking it, or -1 at the end.
func (s *scanner) peek() rune {
	if s.at >= len(s.src) {
		return -1
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.at:])
	return r
}

func (s *scanner) take() (rune, error) {
	r, n := utf8.DecodeRuneInString(s.src[s.at:])
	if r == utf8.RuneError && n < 2 {
		return 0, s.errorf(s.pos(), "found byte 0x%02x, expected UTF-8 text", s.src[s.at])
	}
	if unicode.IsControl(r) && !isSpace(r) {
		return 0, s.errorf(s.pos(), "found control character U+%04X, expected text", r)
	}
	s.at += n
	if s.counting {
		s.col++
		if r == '\n' {
			s.line, s.col = s.line+1, 1
		}
	}
	return r, nil
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// endsWord reports whether r, or the end of the file, ends a word.
func endsWord(r rune) bool { return r < 0 || isSpace(r) || r == ';' || r == '{' || r == '}' }

func (s *scanner) scan() (lexer.Token, error) {
	if err := s.skip(); err != nil {
		return lexer.Token{}, err
	}
	t := lexer.Token{Pos: s.pos()}
	switch r := s.peek(); r {
	case -1:
		return lexer.EOFToken(t.Pos), nil
	case ';', '{', '}':
		t.Type = map[rune]lexer.TokenType{';': tokSemicolon, '{': tokOpen, '}': tokClose}[r]
		t.Value = string(r)
		_, err := s.take()
		return t, err
	case '"', '\'':
		text, err := s.quoted()
		t.Type, t.Value = tokQuoted, text
		return t, err
	default:
		return s.word(t)
	}
}

// skip passes white space and comments. A comment begins only where a word could, so a URL may contain `#`.
func (s *scanner) skip() error {
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

// word reads an unquoted word into t; a quote directly behind `key=` quotes the value.
func (s *scanner) word(t lexer.Token) (lexer.Token, error) {
	t.Type = tokWord
	var b strings.Builder
	key := true // what was read so far may be the key of an option
	for !endsWord(s.peek()) {
		r, err := s.take()
		if err != nil {
			return t, err
		}
		b.WriteRune(r)
		if r == '=' && key && b.Len() > 1 {
			key = false
			t.Type = tokOption
			if q := s.peek(); q == '"' || q == '\'' {
				text, err := s.quoted()
				if err != nil {
					return t, err
				}
				b.WriteString(text)
				break
			}
		}
		key = key && isIdentifier(r, b.Len() == 1)
	}
	t.Value = b.String()
	return t, nil
}

func isIdentifier(r rune, first bool) bool {
	letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return letter || !first && ('0' <= r && r <= '9' || r == '-' || r == '.')
}

// quoted reads a quoted string, which ends on its line and is followed by the end of the word.
func (s *scanner) quoted() (string, error) {
	open := s.pos()
	q, err := s.take()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		switch r := s.peek(); {
		case r < 0 || r == '\n':
			return "", s.errorf(open, "found a string that is not closed on its line, expected a closing %c", q)
		case r == q:
			if _, err := s.take(); err != nil {
				return "", err
			}
			if after := s.peek(); !endsWord(after) {
				return "", s.errorf(s.pos(), "found %q directly after a quoted string, expected white space, `;` or `{`", after)
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

// escape reads a backslash and what it stands before.
func (s *scanner) escape() (rune, error) {
	at := s.pos()
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
		return 0, s.errorf(at, `found a backslash in a string, expected one of \" \' \\ \n \t \r`)
	}
	if _, err := s.take(); err != nil {
		return 0, err
	}
	return r, nil
}
