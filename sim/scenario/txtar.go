package scenario

import "strings"

// An archive is a text in the txtar format: a comment, then sections, each behind a line `-- NAME --`. It is read here
// because the known reader of the format panics on a marker without a name, and keeps no line numbers.
type archive struct {
	comment string
	files   []archived
}

// An archived section is a file in an archive.
type archived struct {
	name, text string
	line       int // of its first line
}

func readArchive(text string) archive {
	var a archive
	line, begin := 1, 0
	end := func(at int) {
		if n := len(a.files); n > 0 {
			a.files[n-1].text = text[begin:at]
		} else {
			a.comment = text[:at]
		}
	}
	at := 0
	for l := range strings.Lines(text) {
		if name, ok := marker(l); ok {
			end(at)
			begin = at + len(l)
			a.files = append(a.files, archived{name: name, line: line + 1})
		}
		at += len(l)
		line++
	}
	end(at)
	return a
}

func marker(line string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimRight(line, " \t\r\n"), "-- ")
	if !ok {
		return "", false
	}
	if name, ok = strings.CutSuffix(rest, " --"); !ok {
		return "", false
	}
	name = strings.TrimSpace(name)
	return name, name != ""
}

// format writes an archive as it was read; every section ends with a newline.
func (a archive) format() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, f := range a.files {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
		b.WriteString("-- " + f.name + " --\n" + f.text)
	}
	return b.String()
}
