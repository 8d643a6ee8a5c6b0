package node

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"weir/actors/input"
	"weir/cluster/conf"
	"weir/cluster/router"
	"weir/cluster/source"
)

// newOpener makes what opens the inputs of the file.
func (n *Node) newOpener() *source.Opener {
	return &source.Opener{
		Clock: n.cfg.Outside.Clock, Agent: "weir/" + n.cfg.Build, Log: n.log,
		Origins: source.Origins{
			Directory: &n.origins, URL: n.sourceURL,
			Transport: func(name string) http.RoundTripper { return n.group.keys.Transport(sourceLink(name)) },
			Answer:    func() time.Duration { return n.hold() + router.StartUp },
		},
	}
}

// newRelays makes what follows streams that other nodes capture.
func (n *Node) newRelays() *source.Relays {
	return &source.Relays{
		Directory: n.group.directory, External: n.srs, Transport: n.group.transport, Hold: n.hold, Wait: n.cfg.Outside.Clock.Wait, Log: n.log,
	}
}

// open makes the source of a configured input; nil for publish://, whose media a session brings.
func (n *Node) open(f *conf.File, name string, in conf.Input) (input.Source, error) {
	if in.Scheme == "publish" {
		return nil, nil
	}
	if w := n.cfg.Outside.World; w != nil {
		return w.Source(name, in), nil
	}
	is := source.Input{Stream: name, Kind: in.Scheme, Shown: in.Shown(), Address: in.Address, File: in.File, Silence: in.SourceTimeout}
	carrier, _, pulled := strings.Cut(in.Address, "://")
	switch {
	case in.Form != "":
		is.Kind = string(in.Form)
	case pulled:
		is.Kind = carrier
	case in.Location != "":
		vod := f.Vod(in.Location)
		if vod == nil {
			return nil, fmt.Errorf("%s: input %s: there is no `vod %s`", in.Pos, in.URL, in.Location)
		}
		is.Root = vod.Root
	default:
		_, is.Query, _ = strings.Cut(in.URL, "?")
	}
	src, err := n.sources.Open(is)
	if err != nil {
		return nil, fmt.Errorf("%s: input %s: %w", in.Pos, in.URL, err)
	}
	return src, nil
}
