package conf

import (
	"fmt"

	"weir/protocols"
)

// A word is one word behind the name of a directive.
type word struct {
	text   string
	pos    Pos
	option bool // an option token, see [kind]
}

// An entry is a directive as the text has it, before its name is looked up: `name words … ;` or `name words … { … }`.
type entry struct {
	name  string
	pos   Pos
	words []word
	kids  []*entry // the directives in its block

	hasBlock bool
	unclosed bool // the text ends before the closing brace of the block
	blamed   bool // a message has already said that the block's closing brace may be missing
	end      Pos  // the place of the closing brace

	from, to, close int // byte offsets: of the name, behind the last character, and of the closing brace
}

// head is the beginning of a directive for a message: its name, and its first word unless that may be a secret.
func (e *entry) head() string {
	if len(e.words) == 0 || e.words[0].option || isSecret(e.name) {
		return short(e.name)
	}
	return short(e.name + " " + protocols.MaskURLs(e.words[0].text))
}

// parse reads the directives of a text that begins at a position. Line 0 means that the text is a flag's, in which the last
// semicolon may be left out. Parse stops at the first error, since it could only guess how the text goes on.
func parse(src []byte, at Pos) ([]*entry, *Problem) {
	if len(src) > maxFile {
		return nil, errorAt(at, "found a file of %d bytes, expected at most %d", len(src), maxFile)
	}
	list, end, err := newScanner(src, at).list(0)
	if err == nil && end.kind == closeBrace {
		err = errorAt(end.pos, "found `}` where no block is open, expected a directive or the end of the file")
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// list reads directives up to a closing brace or the end of the text, and returns that token too.
func (s *scanner) list(depth int) (list []*entry, end token, err *Problem) {
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return nil, t, err
		case t.kind == endOfText, t.kind == closeBrace:
			return list, t, nil
		case t.kind == optionToken, t.kind == quotedToken:
			return nil, t, errorAt(t.pos, "found %s, expected the name of a directive", t)
		case t.kind != wordToken:
			return nil, t, errorAt(t.pos, "found %s, expected a directive", t)
		}
		e := &entry{name: t.text, pos: t.pos, from: t.at}
		if err := s.rest(e, depth); err != nil {
			return nil, t, err
		}
		e.to = s.at
		list = append(list, e)
	}
}

// rest reads the words and the block behind the name of a directive.
func (s *scanner) rest(e *entry, depth int) *Problem {
	last := e.pos // the place of the word before t
	for {
		t, err := s.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case wordToken, quotedToken, optionToken:
			e.words = append(e.words, word{text: t.text, pos: t.pos, option: t.kind == optionToken})
			last = t.pos
			continue
		case semicolon:
			return nil
		case openBrace:
			if depth++; depth > maxDepth {
				return errorAt(t.pos, "found a block %d levels deep, expected at most %d", depth, maxDepth)
			}
			e.hasBlock = true
			e.kids, t, err = s.list(depth)
			e.end, e.close, e.unclosed = t.pos, t.at, t.kind == endOfText
			return err
		}
		if t.pos.Line == 0 {
			if t.kind == endOfText {
				return nil
			}
			return errorAt(t.pos, "found %s, expected `;` or `{` to follow `%s`", t, short(e.name))
		}
		return errorAt(t.pos, "found %s, expected `;` or `{` to follow `%s` (its last word is at %s)", t, short(e.name), last.place())
	}
}

// String shows a token in a message.
func (t token) String() string {
	switch t.kind {
	case endOfText:
		return theEnd(t.pos)
	case wordToken, quotedToken, optionToken:
		return quote(t.text)
	default:
		return fmt.Sprintf("`%s`", t.text)
	}
}

// theEnd is the end of the text for a message, with a position in it.
func theEnd(at Pos) string {
	if at.Line == 0 {
		return "the end of the flag"
	}
	return "the end of the file"
}

// short is a word of the file for a message, without quotes: cut if it is long, with the password of a URL hidden.
func short(word string) string {
	word = protocols.MaskURLs(word)
	if r := []rune(word); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return word
}
