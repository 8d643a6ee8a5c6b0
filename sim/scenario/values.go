package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"weir/sim"
)

// maxTime bounds every instant and duration of a scenario, so that none overflows when they are added.
const maxTime = 100_000 * time.Hour

// parseDuration reads a duration such as 3.6s, 500ms, 2m or 0.
func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("found %q, expected a time with its unit, such as 3.6s, 500ms or 2m", text)
	}
	if d > maxTime || d < -maxTime {
		return 0, fmt.Errorf("found %q, expected at most %d hours", text, maxTime/time.Hour)
	}
	return d, nil
}

// formatDuration is the shortest form that [parseDuration] reads back: hours or minutes where they are whole and many,
// otherwise seconds, and milliseconds below one.
func formatDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + formatDuration(-d)
	case d == 0:
		return "0s"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d >= 10*time.Minute && d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d < time.Millisecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Second:
		return decimal(int64(d), int64(time.Millisecond)) + "ms"
	}
	return decimal(int64(d), int64(time.Second)) + "s"
}

// decimal writes n/unit without loss; unit is a power of ten.
func decimal(n, unit int64) string {
	s := strconv.FormatInt(n/unit, 10)
	if rest := n % unit; rest != 0 {
		digits := len(strconv.FormatInt(unit, 10)) - 1
		s += "." + strings.TrimRight(fmt.Sprintf("%0*d", digits, rest), "0")
	}
	return s
}

// parseSpan reads 1ms..50ms, or one duration that stands for both ends.
func parseSpan(text string) (sim.Range, error) {
	low, high, two := strings.Cut(text, "..")
	a, err := parseDuration(low)
	if err != nil {
		return sim.Range{}, err
	}
	b := a
	if two {
		if b, err = parseDuration(high); err != nil {
			return sim.Range{}, err
		}
	}
	if a < 0 || b < a {
		return sim.Range{}, fmt.Errorf("found %q, expected a range from a shorter time to a longer one, such as 1ms..50ms", text)
	}
	return sim.Range{Min: a, Max: b}, nil
}

func formatSpan(r sim.Range) string {
	if r.Max <= r.Min {
		return formatDuration(r.Min)
	}
	return formatDuration(r.Min) + ".." + formatDuration(r.Max)
}

// maxPPM is certainty.
const maxPPM = 1_000_000

// parsePPM reads a probability: 0.5% or 5000ppm.
func parsePPM(text string) (sim.PPM, error) {
	bad := fmt.Errorf("found %q, expected a probability from 0%% to 100%%, such as 0.5%%", text)
	if digits, ok := strings.CutSuffix(text, "ppm"); ok {
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n > maxPPM {
			return 0, bad
		}
		return sim.PPM(n), nil
	}
	digits, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, bad
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 100 {
		return 0, bad
	}
	return sim.PPM(math.Round(f * 10_000)), nil
}

// ParsePPM reads a probability as the language has it: 0.5% or 5000ppm.
func ParsePPM(text string) (sim.PPM, error) { return parsePPM(text) }

func formatPPM(p sim.PPM) string { return decimal(int64(p), 10_000) + "%" }

// maxNames bounds what a range of names stands for.
const maxNames = 10_000

// expandName gives the names that one with a range such as cam[01..30] stands for; a name without is itself. A number
// with leading zeros makes all as wide.
func expandName(text string) ([]string, error) {
	open := strings.IndexByte(text, '[')
	if open < 0 {
		return []string{text}, nil
	}
	bad := fmt.Errorf("found %q, expected a range such as cam[01..30] with at most %d names", text, maxNames)
	width := strings.IndexByte(text[open:], ']')
	if width < 0 {
		return nil, bad
	}
	low, high, ok := strings.Cut(text[open+1:open+width], "..")
	a, errA := strconv.ParseUint(low, 10, 31)
	b, errB := strconv.ParseUint(high, 10, 31)
	if !ok || errA != nil || errB != nil || b < a || b-a >= maxNames || len(low) > 10 || strings.ContainsAny(text[open+width+1:], "[]") {
		return nil, bad
	}
	names := make([]string, 0, b-a+1)
	for n := a; n <= b; n++ {
		names = append(names, fmt.Sprintf("%s%0*d%s", text[:open], len(low), n, text[open+width+1:]))
	}
	return names, nil
}

// foldNames is the shortest list of names and ranges that [expandName] turns into these names, in their order.
func foldNames(names []string) []string {
	var out []string
	for i := 0; i < len(names); {
		n := runLength(names[i:])
		if n < 3 { // two are as short as they are
			out = append(out, word(names[i]))
			i++
			continue
		}
		prefix, first, _ := splitNumber(names[i])
		_, last, _ := splitNumber(names[i+n-1])
		out = append(out, prefix+"["+first+".."+last+"]")
		i += n
	}
	return out
}

// runLength says how many names at the beginning of the list differ by a number at their end that rises by one.
func runLength(names []string) int {
	prefix, digits, ok := splitNumber(names[0])
	first, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || word(names[0]) != names[0] {
		return 1
	}
	n := 1
	for n < len(names) && n < maxNames && names[n] == fmt.Sprintf("%s%0*d", prefix, len(digits), first+uint64(n)) {
		n++
	}
	return n
}

// splitNumber divides a name into what stands before the digits at its end, and these.
func splitNumber(name string) (prefix, digits string, ok bool) {
	i := len(name)
	for i > 0 && '0' <= name[i-1] && name[i-1] <= '9' {
		i--
	}
	return name[:i], name[i:], i < len(name) && len(name)-i <= 9
}
