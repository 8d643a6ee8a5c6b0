package scenario

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a word of the language with its place on the line.
type token struct {
	text   string
	col    int // in characters, from 1
	quoted bool
	op     bool // one of the operators; nothing quoted is
	spaced bool // white space stands before it
}

// operators divide words wherever they stand; longer ones come first.
var operators = []string{"<->", "->", "<=", "==", ";", ",", "|"}

// A lexFault is text that is no token.
type lexFault struct {
	col  int
	text string
}

// tokenize cuts a line into tokens. A comment ends it; it begins where a word could.
func tokenize(line string) ([]token, *lexFault) {
	var list []token
	col, spaced := 1, true
	for at := 0; at < len(line); {
		rest := line[at:]
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n < 2:
			return nil, &lexFault{col, "found a byte that is no UTF-8, expected text"}
		case r == ' ' || r == '\t' || r == '\r':
			at, col, spaced = at+n, col+1, true
			continue
		case unicode.IsControl(r):
			return nil, &lexFault{col, "found a control character, expected text"}
		case r == '#':
			return list, nil
		}
		t, size := token{col: col, spaced: spaced}, 0
		spaced = false
		switch {
		case operatorAt(rest) != "":
			t.text, t.op = operatorAt(rest), true
			size = len(t.text)
		case r == '"':
			text, end, ok := cutQuoted(rest)
			if !ok {
				return nil, &lexFault{col, "found a string that is not closed on its line, expected a closing \""}
			}
			t.text, t.quoted, size = text, true, end
		default:
			size = wordLen(rest)
			t.text = rest[:size]
		}
		if strings.ContainsFunc(t.text, unicode.IsControl) || !utf8.ValidString(t.text) {
			return nil, &lexFault{col, "found a control character or a byte that is no UTF-8, expected text"}
		}
		list = append(list, t)
		at, col = at+size, col+utf8.RuneCountInString(rest[:size])
	}
	return list, nil
}

func operatorAt(s string) string {
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

// wordLen is the length in bytes of the unquoted word at the beginning of s.
func wordLen(s string) int {
	for i, r := range s {
		if r == ' ' || r == '\t' || r == '\r' || r == '"' || i > 0 && operatorAt(s[i:]) != "" {
			return i
		}
	}
	return len(s)
}

// cutQuoted reads the string at the beginning of s and says where it ends; a backslash stands before a quote or a
// backslash that is meant as such.
func cutQuoted(s string) (text string, end int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), i + 1, true
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// word gives a name in the form in which the language reads it back as it is: quoted only if it must be.
func word(name string) string {
	toks, fault := tokenize(name)
	if fault == nil && len(toks) == 1 && toks[0].text == name && !toks[0].op && !toks[0].quoted && name != "all" &&
		!strings.Contains(name, "[") {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}
