package conf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value describes the words behind the name of a directive: how they are read into the model, and how the model is written
// as words again. A value finds its part of the model through the block in which the directive stands, see [part].
type value struct {
	args        string   // the words as messages and the reference page show them, such as "HOST[:PORT]"
	min, max    int      // the number of words that are permitted; max < 0 means any number
	unit        string   // the unit of a number; empty for none
	json        []string // the types of the setting in JSON; nil: a string, or a list of strings where several words are permitted
	commas      bool     // commas separate the words of a list
	defaultText string   // the default, as the file would say it; empty for none

	// read stores the words of a directive c, which stands in the block b, in the model. For a directive that has a block of
	// its own, open returns that block. Rows from unsupportedRows have neither.
	read func(r *reader, b *block, c *call)
	open func(r *reader, b *block, c *call) *block

	setDefault func(b *block)            // stores the default in the model; nil if there is no default
	take       func(to, from *block)     // copies the setting from another block; nil if there is nothing to copy
	merge      func(to, from *block)     // adds the setting of another block; used in place of take if it is not nil
	lines      func(b *block) [][]string // makes the lines that are printed for the setting, each a list of words; nil if nothing is printed
	each       func(b *block) []*block   // makes a block for each entry that the model holds; nil for a directive without a block
}

// single is the value of one word that is stored in one field of the model. If the field has no default, its zero value means
// that the directive was not given, and nothing is printed for it.
func single[M any, T comparable](args string, field func(M) *T, byDefault T, parse func(string) (T, error), text func(T) string) value {
	var zero T
	v := value{args: args, min: 1, max: 1}
	if byDefault != zero {
		v.defaultText = text(byDefault)
	}
	v.setDefault = func(b *block) { *field(part[M](b)) = byDefault }
	v.take = func(to, from *block) { *field(part[M](to)) = *field(part[M](from)) }
	v.lines = func(b *block) [][]string {
		if stored := *field(part[M](b)); stored != zero || byDefault != zero {
			return [][]string{{text(stored)}}
		}
		return nil
	}
	v.read = func(r *reader, b *block, c *call) {
		w := c.args[0]
		parsed, err := parse(w.text)
		if err != nil {
			r.refuse(w.pos, c.name, err)
			return
		}
		*field(part[M](b)) = parsed
	}
	return v
}

// asIs is the text function of a value that is stored as text: the text itself.
func asIs(s string) string { return s }

// text is a word that is stored as it is. Check refuses wrong words; if it is nil, every word is permitted.
func text[M any](args string, field func(M) *string, check func(string) error) value {
	return single(args, field, "", func(s string) (string, error) {
		if check == nil {
			return s, nil
		}
		return s, check(s)
	}, asIs)
}

// directory is the name of a directory.
func directory[M any](field func(M) *string) value {
	return text("DIRECTORY", field, func(s string) error {
		if s == "" || strings.ContainsAny(s, "\n\r\t") {
			return fmt.Errorf("found %s, expected a directory", quote(s))
		}
		return nil
	})
}

// baseURLOf is a URL without a path.
func baseURLOf[M any](field func(M) *string) value { return single("URL", field, "", parseBase, asIs) }

// millis is a duration in milliseconds.
func millis[M any](field func(M) *time.Duration, byDefault time.Duration, least int64) value {
	v := single("MILLISECONDS", field, byDefault, func(s string) (time.Duration, error) {
		return parseDuration(s, time.Millisecond, least)
	}, millisText)
	v.unit, v.json = "milliseconds", []string{"integer"}
	return v
}

// seconds is a duration in seconds.
func seconds[M any](field func(M) *time.Duration) value {
	v := single("SECONDS", field, 0, parseSeconds, secondsText)
	v.unit, v.json = "seconds", []string{"integer"}
	return v
}

func millisText(d time.Duration) string  { return strconv.FormatInt(d.Milliseconds(), 10) }
func secondsText(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// number is a whole number.
func number[M any](args string, field func(M) *int, least, most int) value {
	v := single(args, field, 0, func(s string) (int, error) { return parseCount(s, least, most) }, strconv.Itoa)
	v.json = []string{"integer"}
	return v
}

// percent is a share of a whole.
func percent[M any](field func(M) *int) value {
	v := number("PERCENT", field, 1, 100)
	v.unit = "percent"
	return v
}

// bitsUnit is the unit of bit rates. In JSON they are whole numbers, and the words of the file, such as 40M, are permitted too.
const bitsUnit = "bits per second"

// bits is a bit rate.
func bits[M any](field func(M) *int64) value {
	v := single("BITS", field, 0, parseBits, func(n int64) string { return strconv.FormatInt(n, 10) })
	v.unit, v.json = bitsUnit, []string{"integer"}
	return v
}

// oneWord is one of the given words.
func oneWord[M any, T ~string](field func(M) *T, byDefault T, words ...T) value {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	parse := func(s string) (T, error) {
		_, err := parseWord(s, names)
		return T(s), err
	}
	last := len(names) - 1
	return single(strings.Join(names[:last], ", ")+" or "+names[last], field, byDefault, parse, func(t T) string { return string(t) })
}

// orWord is a single value that may also be given as a word: the file says word where the model holds special. Error messages
// add meaning to the word, to explain it.
func orWord[M any, T comparable](args, word, meaning string, special T, field func(M) *T, byDefault T, parse func(string) (T, error), text func(T) string) value {
	v := single(args+" or "+word, field, byDefault, func(s string) (T, error) {
		if s == word {
			return special, nil
		}
		t, err := parse(s)
		if err != nil {
			err = fmt.Errorf("%w, or %s%s", err, word, meaning)
		}
		return t, err
	}, func(t T) string {
		if t == special {
			return word
		}
		return text(t)
	})
	v.json = []string{"integer", "string", "boolean"}
	return v
}

// exceptUnsupported is v, except that one of its words is reported as [Unsupported].
func exceptUnsupported(word string, v value) value {
	read := v.read
	v.read = func(r *reader, b *block, c *call) {
		if c.args[0].text == word {
			r.add(Unsupported, c.pos, "%s=%s", c.name, word)
		}
		read(r, b, c)
	}
	return v
}

// boolean is the word true or false.
func boolean[M any](field func(M) *bool, byDefault bool) value {
	v := single("true or false", field, byDefault, parseBool, strconv.FormatBool)
	v.json = []string{"boolean"}
	v.defaultText = strconv.FormatBool(byDefault)
	return v
}

// optionalBoolean is the word true or false, or no word at all, which means true.
func optionalBoolean[M any](field func(M) *bool) value {
	v := boolean(field, false)
	v.args, v.min = "[true or false]", 0
	read := v.read
	v.read = func(r *reader, b *block, c *call) {
		if len(c.args) == 0 {
			*field(part[M](b)) = true
			return
		}
		read(r, b, c)
	}
	v.lines = func(b *block) [][]string {
		if *field(part[M](b)) {
			return [][]string{{}}
		}
		return nil
	}
	return v
}

// onOff is the word on or off, as files of SRS write a boolean.
func onOff[M any](field func(M) *bool) value {
	v := single("on or off", field, false, func(s string) (bool, error) {
		_, err := parseWord(s, onOffWords)
		return s == "on", err
	}, func(bool) string { return "on" })
	v.defaultText, v.json = "off", []string{"boolean"}
	return v
}

var onOffWords = []string{"on", "off"}

// entries is the value of a directive that may stand several times, each time adding an entry to a list of the model. Parse
// makes the entry from the word behind the directive's name. BlockOf makes the block from which the directives inside the
// braces find the entry, see [newBlock].
func entries[P, M any](args string, field func(P) *[]M, parse func(text string, at Pos) (M, error), blockOf func(*M) *block) value {
	return value{
		args: args, min: 1, max: 1,
		open: func(r *reader, _ *block, c *call) *block {
			w := c.args[0]
			m, err := parse(w.text, c.pos)
			if err != nil {
				r.refuse(w.pos, c.name, err)
			}
			b := blockOf(&m)
			b.refused = err != nil
			return b
		},
		each: func(b *block) (blocks []*block) {
			list := *field(part[P](b))
			for i := range list {
				blocks = append(blocks, blockOf(&list[i]))
			}
			return blocks
		},
	}
}

// newBlock makes a block whose directives are stored in the given parts of the model. Title is the word behind the name of
// the block's directive. Two blocks of one directive must not have the same id, unless it is empty.
func newBlock(title, id string, models ...any) *block {
	return &block{models: models, title: []string{title}, id: id}
}

// unstored is a word that is checked but not stored in the model. A finish function may still read the word from the block,
// with [block.word]. Check may be nil.
func unstored(args string, check func(string) error) value {
	return value{args: args, min: 1, max: 1, read: func(r *reader, _ *block, c *call) {
		if check == nil {
			return
		}
		if err := check(c.args[0].text); err != nil {
			r.refuse(c.args[0].pos, c.name, err)
		}
	}}
}

// maxServers is the most servers or URLs in one list. A node may send a request to all of a list at the same time.
const maxServers = 64

// listOf is a list of at least `least` and at most `most` words, stored in one field of the model. If commas is set, commas
// separate items as spaces do. An item that is given twice is stored once, with a warning.
func listOf[M any, T comparable](args string, least int, field func(M) *[]T, commas bool, most int, parse func(string) (T, error), text func(T) string) value {
	v := value{args: args, min: least, max: -1, json: []string{"array"}, commas: commas}
	v.take = func(to, from *block) { *field(part[M](to)) = *field(part[M](from)) }
	v.lines = func(b *block) [][]string {
		var words []string
		for _, item := range *field(part[M](b)) {
			words = append(words, text(item))
		}
		if words == nil {
			return nil
		}
		if commas {
			words = []string{strings.Join(words, ",")}
		}
		return [][]string{words}
	}
	v.read = func(r *reader, b *block, c *call) {
		into := field(part[M](b))
		for _, w := range c.args {
			for _, s := range divided(w.text, commas) {
				item, err := parse(s)
				switch {
				case err != nil:
					r.refuse(w.pos, c.name, err)
				case slices.Contains(*into, item):
					r.warnf(w.pos, "%s stands twice in `%s`", text(item), c.name)
				case len(*into) >= most:
					r.errorf(w.pos, "found more than %d of `%s`, expected fewer", most, c.name)
					return
				default:
					*into = append(*into, item)
				}
			}
		}
	}
	return v
}

// divided splits a word at its commas, if commas is set. Empty items are left out, so `a, b` and `a,b` mean the same.
func divided(text string, commas bool) []string {
	if !commas {
		return []string{text}
	}
	return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
}

// servers is a list of servers. A server that is given without a port gets the default port.
func servers[M any](least int, field func(M) *[]string, port int) value {
	return listOf("HOST[:PORT] …", least, field, false, maxServers, func(s string) (string, error) {
		host, given, err := parsePeerName(s)
		if given == 0 {
			given = port
		}
		return joinHostPort(host, given), err
	}, asIs)
}

// maxMillis is the longest duration that a file may give: a day, in milliseconds. No calculation overflows with it, and a
// duration that was given in a wrong unit is usually refused.
const maxMillis = 24 * 60 * 60 * 1000

// parseDuration reads a whole number of milliseconds or seconds, as unit says.
func parseDuration(text string, unit time.Duration, least int64) (time.Duration, error) {
	name, most := "milliseconds", int64(maxMillis)
	if unit == time.Second {
		name, most = "seconds", maxMillis/1000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if d, derr := time.ParseDuration(text); derr == nil && d >= 0 && (d >= unit || d == 0) {
			return 0, fmt.Errorf("found %s, expected %s without a unit, here %d", quote(text), name, d/unit)
		}
		return 0, fmt.Errorf("found %s, expected a whole number of %s", quote(text), name)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("found %d, expected %s from %d to %d", n, name, least, most)
	}
	return time.Duration(n) * unit, nil
}

func parseSeconds(text string) (time.Duration, error) { return parseDuration(text, time.Second, 1) }

// parseCount reads a whole number within bounds.
func parseCount(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("found %s, expected a whole number from %d to %d", quote(text), least, most)
	}
	return n, nil
}

// maxBits is the highest bit rate that a file may give: a petabit per second. The sum of 9,000 such rates fits into an int64.
const maxBits = 1e15

// parseBits reads bits per second: 40M, 400K, 1G, or a plain number. The letters are decimal.
func parseBits(text string) (int64, error) {
	digits, factor := text, int64(1)
	for _, unit := range []struct {
		letters string
		factor  int64
	}{{"kK", 1e3}, {"mM", 1e6}, {"gG", 1e9}} {
		if n := len(text); n > 0 && strings.ContainsRune(unit.letters, rune(text[n-1])) {
			digits, factor = text[:n-1], unit.factor
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > maxBits/factor {
		return 0, fmt.Errorf("found %s, expected bits per second above 0, such as 40M, 400K or 40000000", quote(text))
	}
	return n * factor, nil
}

var boolWords = []string{"true", "false", "on", "off", "yes", "no"}

func parseBool(text string) (bool, error) {
	switch text {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("found %s, expected true or false%s", quote(text), didYouMean(text, boolWords))
}

func parseWord(text string, known []string) (string, error) {
	if slices.Contains(known, text) {
		return text, nil
	}
	return "", fmt.Errorf("found %s, expected %s%s", quote(text), oneOf(known), didYouMean(text, known))
}
