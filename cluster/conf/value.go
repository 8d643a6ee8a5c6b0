package conf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is what stands behind the name of a directive, and how it becomes a part of the model and is written again.
// It finds the part of the model by the block in which the directive stands, see [part].
type value struct {
	args     string // for messages and the reference page
	min, max int    // how many words that may be; max < 0 means any number
	unit     string // of a number; empty for none
	preset   string // the default, as the file would say it; empty for none

	// read obeys a directive, and open one with a block, of which it gives that. A directive without either is not obeyed.
	read func(r *reader, b *block, c *call)
	open func(r *reader, b *block, c *call) *block

	reset func(b *block)            // fills in the default; nil for none
	take  func(to, from *block)     // takes over what another block says; nil if there is nothing to take
	merge func(to, from *block)     // joins both, in place of take
	lines func(b *block) [][]string // the words of each line that says what the model holds; nil if none is ever needed
	each  func(b *block) []*block   // the blocks that the model holds; nil for a directive without a block
}

// single is the value of one word that becomes one field of the model. The zero of a field without default says nothing.
func single[M any, T comparable](args string, field func(M) *T, preset T, parse func(string) (T, error), text func(T) string) value {
	var zero T
	v := value{args: args, min: 1, max: 1}
	if preset != zero {
		v.preset = text(preset)
	}
	v.reset = func(b *block) { *field(part[M](b)) = preset }
	v.take = func(to, from *block) { *field(part[M](to)) = *field(part[M](from)) }
	v.lines = func(b *block) [][]string {
		if is := *field(part[M](b)); is != zero || preset != zero {
			return [][]string{{text(is)}}
		}
		return nil
	}
	v.read = func(r *reader, b *block, c *call) {
		w := c.args[0]
		is, err := parse(w.text)
		if err != nil {
			r.refuse(w.pos, c.name, err)
			return
		}
		*field(part[M](b)) = is
	}
	return v
}

// same is the text of a value that is text.
func same(s string) string { return s }

// text is a word that check permits; nil permits all.
func text[M any](args string, field func(M) *string, check func(string) error) value {
	return single(args, field, "", func(s string) (string, error) {
		if check == nil {
			return s, nil
		}
		return s, check(s)
	}, same)
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

// baseURLOf is a URL without path.
func baseURLOf[M any](field func(M) *string) value { return single("URL", field, "", parseBase, same) }

// millis is a duration in milliseconds.
func millis[M any](field func(M) *time.Duration, preset time.Duration, least int64) value {
	v := single("MILLISECONDS", field, preset, func(s string) (time.Duration, error) {
		return parseDuration(s, time.Millisecond, least)
	}, millisText)
	v.unit = "milliseconds"
	return v
}

// seconds is a duration in seconds.
func seconds[M any](field func(M) *time.Duration) value {
	v := single("SECONDS", field, 0, parseSeconds, secondsText)
	v.unit = "seconds"
	return v
}

func millisText(d time.Duration) string  { return strconv.FormatInt(d.Milliseconds(), 10) }
func secondsText(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// number is a whole number.
func number[M any](args string, field func(M) *int, least, most int) value {
	return single(args, field, 0, func(s string) (int, error) { return parseCount(s, least, most) }, strconv.Itoa)
}

// percent is a share of a whole.
func percent[M any](field func(M) *int) value {
	v := number("PERCENT", field, 1, 100)
	v.unit = "percent"
	return v
}

// bits is a bit rate.
func bits[M any](field func(M) *int64) value {
	v := single("BITS", field, 0, parseBits, func(n int64) string { return strconv.FormatInt(n, 10) })
	v.unit = "bits per second"
	return v
}

// oneWord is one of some words.
func oneWord[M any, T ~string](field func(M) *T, preset T, words ...T) value {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	parse := func(s string) (T, error) {
		_, err := parseWord(s, names)
		return T(s), err
	}
	last := len(names) - 1
	return single(strings.Join(names[:last], ", ")+" or "+names[last], field, preset, parse, func(t T) string { return string(t) })
}

// orWord is a single value for one of which, is, the file has a word. Meaning says in messages what the word stands for.
func orWord[M any, T comparable](args, word, meaning string, is T, field func(M) *T, preset T, parse func(string) (T, error), text func(T) string) value {
	return single(args+" or "+word, field, preset, func(s string) (T, error) {
		if s == word {
			return is, nil
		}
		t, err := parse(s)
		if err != nil {
			err = fmt.Errorf("%w, or %s%s", err, word, meaning)
		}
		return t, err
	}, func(t T) string {
		if t == is {
			return word
		}
		return text(t)
	})
}

// notYet refuses one of the words that a value takes, because what it means is not built.
func notYet(word string, v value) value {
	read := v.read
	v.read = func(r *reader, b *block, c *call) {
		if c.args[0].text == word {
			r.add(Unsupported, c.pos, "%s=%s", c.name, word)
		}
		read(r, b, c)
	}
	return v
}

// truth is true or false.
func truth[M any](field func(M) *bool, preset bool) value {
	v := single("true or false", field, preset, parseBool, strconv.FormatBool)
	v.preset = strconv.FormatBool(preset)
	return v
}

// assertion is true where its directive stands alone.
func assertion[M any](field func(M) *bool) value {
	v := truth(field, false)
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

// onOff is what SRS calls true and false.
func onOff[M any](field func(M) *bool) value {
	v := single("on or off", field, false, func(s string) (bool, error) {
		_, err := parseWord(s, onOffWords)
		return s == "on", err
	}, func(bool) string { return "on" })
	v.preset = "off"
	return v
}

var onOffWords = []string{"on", "off"}

// entries is the value of a directive whose block describes one more of a list of the model. Parse reads what stands behind
// the name, and about gives the block of an entry, see [about].
func entries[P, M any](args string, field func(P) *[]M, parse func(text string, at Pos) (M, error), about func(*M) *block) value {
	return value{
		args: args, min: 1, max: 1,
		open: func(r *reader, _ *block, c *call) *block {
			w := c.args[0]
			m, err := parse(w.text, c.pos)
			if err != nil {
				r.refuse(w.pos, c.name, err)
			}
			b := about(&m)
			b.refused = err != nil
			return b
		},
		each: func(b *block) (blocks []*block) {
			list := *field(part[P](b))
			for i := range list {
				blocks = append(blocks, about(&list[i]))
			}
			return blocks
		},
	}
}

// about makes a block about parts of the model: title stands behind the directive's name, and id tells the block from its
// like.
func about(title, id string, models ...any) *block {
	return &block{models: models, title: []string{title}, id: id}
}

// note is a word that the finishing of the block looks at, or nobody.
func note(args string, check func(string) error) value {
	return value{args: args, min: 1, max: 1, read: func(r *reader, _ *block, c *call) {
		if check == nil {
			return
		}
		if err := check(c.args[0].text); err != nil {
			r.refuse(c.args[0].pos, c.name, err)
		}
	}}
}

// maxServers bounds lists of which all may be asked at once.
const maxServers = 64

// listOf is any number of words that become one field of the model. A comma divides words if commas is set, and a word
// that stands twice counts once.
func listOf[M any, T comparable](args string, least int, field func(M) *[]T, commas bool, most int, parse func(string) (T, error), text func(T) string) value {
	v := value{args: args, min: least, max: -1}
	v.take = func(to, from *block) { *field(part[M](to)) = *field(part[M](from)) }
	v.lines = func(b *block) [][]string {
		var words []string
		for _, is := range *field(part[M](b)) {
			words = append(words, text(is))
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
				is, err := parse(s)
				switch {
				case err != nil:
					r.refuse(w.pos, c.name, err)
				case slices.Contains(*into, is):
					r.warnf(w.pos, "%s stands twice in `%s`", text(is), c.name)
				case len(*into) >= most:
					r.errorf(w.pos, "found more than %d of `%s`, expected fewer", most, c.name)
					return
				default:
					*into = append(*into, is)
				}
			}
		}
	}
	return v
}

// divided cuts a word at commas, leaving out nothing: what is behind a comma and before a space.
func divided(text string, commas bool) []string {
	if !commas {
		return []string{text}
	}
	return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
}

// servers is a list of servers that have a usual port.
func servers[M any](least int, field func(M) *[]string, port int) value {
	return listOf("HOST[:PORT] …", least, field, false, maxServers, func(s string) (string, error) {
		host, given, err := parsePeerName(s)
		if given == 0 {
			given = port
		}
		return joinHostPort(host, given), err
	}, same)
}

// maxMillis bounds every duration of the file: a day, so that none overflows and a slip of the unit is seen.
const maxMillis = 24 * 60 * 60 * 1000

// parseDuration reads a whole number of milliseconds or seconds.
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

// maxBits bounds a bit rate: a petabit per second, so that no sum of some overflows.
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
