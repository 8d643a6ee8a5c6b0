package settings

import (
	"bytes"
	"fmt"
	"strings"
)

// lines are the lines of a text.
func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(text, []byte("\n"))), "\n")
}

// maxCells bounds the table of a comparison. Texts that differ in more are shown as one change.
const maxCells = 4 << 20

// Diff gives the lines that differ between two texts: a line that says where, the former lines with - and the new ones with +.
func Diff(a, b []string) []string {
	out := []string{}
	from := 0 // lines of both that are the same at the begin
	for from < min(len(a), len(b)) && a[from] == b[from] {
		from++
	}
	a, b = a[from:], b[from:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 0 && len(b) == 0 {
		return out
	}
	kept := longest(a, b)
	for i, j, apart := 0, 0, false; i < len(a) || j < len(b); {
		if i < len(a) && kept[i] == j {
			i, j, apart = i+1, j+1, false
			continue
		}
		if !apart {
			out = append(out, fmt.Sprintf("@@ line %d", from+j+1))
			apart = true
		}
		if i < len(a) && kept[i] < 0 {
			out = append(out, "-"+a[i])
			i++
		} else {
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}

// longest finds a longest list of lines that two texts have in the same order. For each line of a it gives its number in b; -1
// means that the line is not in the list.
func longest(a, b []string) []int {
	pair := make([]int, len(a))
	for i := range pair {
		pair[i] = -1
	}
	if len(a)*len(b) <= maxCells {
		table := make([][]int32, len(a)+1)
		for i := range table {
			table[i] = make([]int32, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					table[i][j] = table[i+1][j+1] + 1
				} else {
					table[i][j] = max(table[i+1][j], table[i][j+1])
				}
			}
		}
		for i, j := 0, 0; i < len(a) && j < len(b); {
			switch {
			case a[i] == b[j]:
				pair[i] = j
				i, j = i+1, j+1
			case table[i+1][j] >= table[i][j+1]:
				i++
			default:
				j++
			}
		}
	}
	return pair
}
