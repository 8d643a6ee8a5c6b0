package node

import (
	"fmt"

	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/geo"
)

// Load understands a configuration file with flags laid over it, and finds everything for which no node starts with it:
// what the file decides, and the database of countries that the file needs of this machine. It is what a check, a start and
// a reload ask. The file must not be obeyed if the problems say that it failed.
func Load(filename string, src []byte, flags conf.Flags) (*conf.File, conf.Problems) {
	file, problems := conf.Load(filename, src, flags)
	if at, used := file.UsesCountries(); used && !problems.Failed() {
		path, err := geo.Find(file.GeoIP)
		if err == nil {
			_, err = geo.Open(path)
		}
		if err != nil {
			problems = append(problems, conf.Problem{Pos: at, Severity: conf.Error, Text: fmt.Sprintf("found `countries`, but %v", err)})
		}
	}
	return file, problems
}

// prepare makes of a file what a start needs before the first socket is opened, and a reload before anything is changed.
// It fails for no file that [Load] accepts, unless the machine has changed since.
func (n *Node) prepare(f *conf.File) ([]stream.Spec, error) {
	specs, err := n.media.specs(f)
	if err == nil && n.cfg.Network == nil {
		err = n.useCountries(f)
	}
	return specs, err
}

// useCountries puts the database of countries that a file wants into use. One that is missing is an error only if countries
// are used.
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
