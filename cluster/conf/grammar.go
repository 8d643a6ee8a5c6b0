package conf

import (
	"errors"
	"fmt"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar, as participle reads it from the tags. Braces are balanced before it runs, see [balance].
type (
	document struct {
		Directives []*directive `parser:"@@*"`
	}

	// A directive is `name args key=value … ;` or the same with a block for the semicolon.
	directive struct {
		Name lexer.Token `parser:"@Word"`
		Args []*argument `parser:"@@*"`
		Body *block      `parser:"( @@ | Semicolon )"`
	}

	argument struct {
		Token lexer.Token `parser:"@( Word | Quoted | Option )"`
	}

	block struct {
		Open       lexer.Token  `parser:"@Open"`
		Directives []*directive `parser:"@@*"`
		Close      lexer.Token  `parser:"@Close"`
	}
)

// lost is the value of a closing brace that the file lacks and that [balance] supplied.
const lost = ""

var grammar = participle.MustBuild[document](participle.Lexer(rules{}))

func (d *directive) pos() Pos { return fromLexer(d.Name.Pos) }

// inner gives the directives of the block, none if it has no block.
func (d *directive) inner() []*directive {
	if d.Body == nil {
		return nil
	}
	return d.Body.Directives
}

func (d *directive) unclosed() bool { return d.Body != nil && d.Body.Close.Value == lost }

// head shows a directive's beginning in a message: its name and first argument, if it has one that may be shown.
func (d *directive) head() string {
	if len(d.Args) == 0 || d.Args[0].Token.Type == tokOption || isSecret(d.Name.Value) {
		return d.Name.Value
	}
	return d.Name.Value + " " + maskURL(d.Args[0].Token.Value)
}

func (a *argument) pos() Pos     { return fromLexer(a.Token.Pos) }
func (a *argument) text() string { return a.Token.Value }

// parseTokens makes the tree of a file or of a flag's text. A syntax error ends it: what follows would be guesswork.
func parseTokens(list []lexer.Token, r *report) *document {
	list, ok := balance(list, r)
	if !ok {
		return &document{}
	}
	upgraded, err := lexer.Upgrade(&tokens{list: list})
	if err != nil {
		r.errorf(Pos{File: list[0].Pos.Filename}, "reading the words of the file: %v", err)
		return &document{}
	}
	doc, err := grammar.ParseFromLexer(upgraded)
	if err == nil {
		return doc
	}
	var unexpected *participle.UnexpectedTokenError
	if errors.As(err, &unexpected) {
		explain(list, unexpected.Unexpected, r)
		return &document{}
	}
	var perr participle.Error
	if errors.As(err, &perr) {
		r.errorf(fromLexer(perr.Position()), "%s", perr.Message())
		return &document{}
	}
	r.errorf(Pos{File: list[0].Pos.Filename}, "%v", err)
	return &document{}
}

// parseText is [parseTokens] for text.
func parseText(file string, src []byte, r *report) *document {
	list, err := tokenize(file, src, true)
	if err != nil {
		reportLex(err, r)
		return &document{}
	}
	return parseTokens(list, r)
}

func reportLex(err error, r *report) {
	var le *lexError
	if errors.As(err, &le) {
		r.errorf(le.pos, "%s", le.text)
		return
	}
	r.errorf(Pos{}, "%v", err)
}

// balance supplies the closing braces that the end of the file lacks, so that the grammar sees whole blocks and the
// builder can tell which of them was left open. It reports what cannot be mended: too many braces.
func balance(list []lexer.Token, r *report) ([]lexer.Token, bool) {
	depth := 0
	for _, t := range list {
		switch t.Type {
		case tokOpen:
			depth++
			if depth > maxDepth {
				r.errorf(fromLexer(t.Pos), "found a block %d levels deep, expected at most %d", depth, maxDepth)
				return nil, false
			}
		case tokClose:
			if depth == 0 {
				r.errorf(fromLexer(t.Pos), "found `}` where no block is open, expected a directive or the end of the file")
				return nil, false
			}
			depth--
		}
	}
	if depth == 0 {
		return list, true
	}
	end := list[len(list)-1]
	whole := append([]lexer.Token(nil), list[:len(list)-1]...)
	for range depth {
		whole = append(whole, lexer.Token{Type: tokClose, Value: lost, Pos: end.Pos})
	}
	return append(whole, end), true
}

// explain reports a token that the grammar did not expect, in the words of a person who looks at the file.
func explain(list []lexer.Token, bad lexer.Token, r *report) {
	found := describe(bad)
	start, last := bad, bad // the directive that bad stands in, and the token before bad
	inside := false
	for _, t := range list {
		if t.Type == lexer.EOF || t.Pos == bad.Pos && t.Type == bad.Type {
			break
		}
		switch t.Type {
		case tokSemicolon, tokOpen, tokClose:
			inside = false
		default:
			if !inside {
				start, inside = t, true
			}
		}
		last = t
	}
	at := fromLexer(bad.Pos)
	if !inside {
		switch bad.Type {
		case tokOption, tokQuoted:
			r.errorf(at, "found %s, expected the name of a directive", found)
		default:
			r.errorf(at, "found %s, expected a directive", found)
		}
		return
	}
	if at.Line == 0 {
		r.errorf(at, "found %s, expected `;` or `{` to follow `%s`", found, short(start.Value))
		return
	}
	end := fromLexer(last.Pos)
	r.errorf(at, "found %s, expected `;` or `{` to follow `%s` (its last word is at %s)", found, short(start.Value), end.place())
}

func describe(t lexer.Token) string {
	switch {
	case t.Type == lexer.EOF, t.Type == tokClose && t.Value == lost:
		return theEnd(fromLexer(t.Pos))
	case t.Type == tokWord, t.Type == tokQuoted, t.Type == tokOption:
		return quote(t.Value)
	default:
		return fmt.Sprintf("`%s`", t.Value)
	}
}

// theEnd names what ends at a position.
func theEnd(at Pos) string {
	if at.Line == 0 {
		return "the end of the flag"
	}
	return "the end of the file"
}

// short shows a word of the file within a message: cut if long, with the password of a URL hidden.
func short(word string) string {
	word = maskURL(word)
	if r := []rune(word); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return word
}
