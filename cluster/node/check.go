package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/geo"
)

// Load reads a configuration file and the flags that override it. The problems are everything that would keep a node from
// starting with the file: those that package conf finds, and on this machine a missing database of countries and certificates that are
// of no use. A missing file of an input is a warning. `weir check`, a start and a reload all use Load. If [conf.Problems.Failed], the
// file must not be used.
func Load(filename string, src []byte, flags conf.Flags) (*conf.File, conf.Problems) {
	file, problems := conf.Load(filename, src, flags)
	if at, used := file.UsesCountries(); used && !problems.Failed() {
		if err := new(geo.Database).Use(file.GeoIP); err != nil {
			problems = append(problems, conf.Problem{Pos: at, Severity: conf.Error, Text: fmt.Sprintf("found `countries`, but %v", err)})
		}
	}
	if !problems.Failed() {
		problems = append(problems, append(checkCertificates(file), missingFiles(file)...)...)
	}
	return file, problems
}

// maxMissing is how many missing files of inputs are told.
const maxMissing = 20

// missingFiles are warnings of inputs whose files are not on this machine. Each file is told once.
func missingFiles(f *conf.File) (list conf.Problems) {
	looked := map[string]bool{}
	for i := range f.Streams {
		for _, in := range f.Streams[i].Inputs {
			vod := f.Vod(in.Location)
			if in.Location == "" || vod == nil {
				continue
			}
			file := filepath.Join(vod.Root, filepath.FromSlash(in.File))
			if looked[file] {
				continue
			}
			looked[file] = true
			if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() {
				continue
			}
			if len(list) == maxMissing {
				return append(list, conf.Problem{Pos: in.Pos, Severity: conf.Warning, Text: "more files of inputs are missing"})
			}
			list = append(list, conf.Problem{Pos: in.Pos, Severity: conf.Warning, Text: fmt.Sprintf("found no file %s on this machine; the stream waits for it", file)})
		}
	}
	return list
}

// prepare makes the streams of a file and opens the database of countries. It runs before a start opens a socket, and before a
// reload changes anything. It does not fail for a file that [Load] accepts, unless the machine has changed since.
func (n *Node) prepare(f *conf.File) ([]stream.Spec, error) {
	specs, err := n.media.specs(f)
	if err != nil || n.cfg.Network != nil {
		return specs, err
	}
	if problems := checkCertificates(f); problems.Failed() {
		return nil, errors.New(problems.String())
	}
	return specs, n.useCountries(f)
}

// useCountries opens the database of countries if a balancer of the file names countries, and otherwise closes it.
func (n *Node) useCountries(f *conf.File) error {
	at, used := f.UsesCountries()
	if !used {
		n.geo.Drop()
		return nil
	}
	if err := n.geo.Use(f.GeoIP); err != nil {
		return fmt.Errorf("%s: countries are used: %w", at, err)
	}
	return nil
}
