package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/protocols"
)

// maxWord is the longest word, in characters, for which a similar one is searched. The time grows with the square of the length.
const maxWord = 64

// Nearest gives the known word with the smallest edit distance to word; of several, the first in alphabetical order. It gives ""
// if no known word is similar enough.
func Nearest(word string, known []string) string {
	w := []rune(strings.ToLower(word))
	if len(w) == 0 || len(w) > maxWord {
		return ""
	}
	best, bestDistance := "", 1+max(1, len(w)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		kr := []rune(strings.ToLower(k))
		if n := len(kr) - len(w); n >= bestDistance || -n >= bestDistance || len(kr) > maxWord {
			continue
		}
		// Words in which every letter differs are not similar, even if both are short.
		if d := distance(w, kr); d < bestDistance && d < max(len(w), len(kr)) {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
func distance(a, b []rune) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// didYouMean is the end of a message about an unknown word: it suggests the nearest known word, or is empty.
func didYouMean(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %s?", quote(n))
	}
	return ""
}

// quote is a word of the file for a message, in quotes: cut if it is long, with control characters escaped and the password of a
// URL hidden.
func quote(word string) string {
	const limit = 80
	word = protocols.MaskURLs(word)
	if r := []rune(word); len(r) > limit {
		word = string(r[:limit]) + "…"
	}
	return fmt.Sprintf("%q", word)
}

// oneOf lists words for a message, in alphabetical order: `a, b or c`.
func oneOf(words []string) string {
	s := slices.SortedFunc(slices.Values(words), cmp.Compare[string])
	switch len(s) {
	case 0:
		return "nothing"
	case 1:
		return s[0]
	default:
		return strings.Join(s[:len(s)-1], ", ") + " or " + s[len(s)-1]
	}
}
