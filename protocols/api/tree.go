package api

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tree shows the living actors: as a list, or as a drawing.
func (a *api) tree(format string) any {
	actors := a.node.Actors()
	// cam01, cam01/core, cam01-hd: a parent stands right before its children although "-" comes before "/".
	slices.SortFunc(actors, func(x, y Actor) int {
		return strings.Compare(strings.ReplaceAll(x.ID, "/", "\x00"), strings.ReplaceAll(y.ID, "/", "\x00"))
	})
	if format == "text" {
		return drawing(actors)
	}
	return Actors{append([]Actor{}, actors...)}
}

// drawing indents each actor below its parent, the nearest actor whose id is a beginning of its own.
func drawing(actors []Actor) plainText {
	var b strings.Builder
	var above []string // ids of the ancestors of the actor before
	for _, l := range actors {
		for len(above) > 0 && !strings.HasPrefix(l.ID, above[len(above)-1]+"/") {
			above = above[:len(above)-1]
		}
		name := l.ID
		if len(above) > 0 {
			name = name[len(above[len(above)-1])+1:]
		}
		fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", len(above)), name)
		fmt.Fprintf(&b, "  %v", (time.Duration(l.RunningMS) * time.Millisecond).Round(time.Second))
		if l.Restarts > 0 {
			fmt.Fprintf(&b, "  restarts=%d (%s)", l.Restarts, oneLine(l.Failure))
		}
		if l.Note != "" {
			b.WriteString("  " + oneLine(l.Note))
		}
		b.WriteByte('\n')
		above = append(above, l.ID)
	}
	return plainText(b.String())
}

// oneLine shows what an actor or a panic said without breaking the drawing or the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
