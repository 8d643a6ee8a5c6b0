package node

import (
	"net/http"

	"weir/cluster/conf"
	"weir/cluster/status"
	"weir/protocols/api"
)

// newAPI makes the handler of the HTTP API.
func (n *Node) newAPI() http.Handler {
	o := api.Options{Metrics: n.metrics, Control: n.status, Log: n.log}
	if c := n.file().EditAuth; c != nil {
		o.Edit = &api.Credentials{User: c.User, Password: c.Password}
	}
	if c := n.file().ViewAuth; c != nil {
		o.View = &api.Credentials{User: c.User, Password: c.Password}
	}
	return api.Handler(n.status, o)
}

// newStatus makes what the API shows of this node.
func (n *Node) newStatus() *status.Status {
	return status.New(status.Config{
		View: n.group.view.Load, Now: n.env.Now, Control: n.controller(),
		File:     func() status.File { return shown(n.file(), n.group.keys.Own().ID()) },
		Sessions: n.sessions, Streams: n.streams, Captures: n.captures, Tree: n.env.Tree(), Ask: n.group.ask,
		Countries: &n.geo, Drain: n.drain, Balancers: n.balancers.Report, Minutes: n.history.Minutes, Reload: n.readAgain,
	})
}

// shown is what the API shows of a file.
func shown(f *conf.File, keyID string) status.File {
	out := status.File{
		Hash: f.Hash(keyID), Peers: make(map[string]status.Peer, len(f.Peers)),
		Stream: func(name string) (st status.Stream, ok bool) {
			s := f.Stream(name)
			if s == nil {
				return st, false
			}
			st.Title = s.Title
			if s.Ingest != nil {
				st.Clustered, st.CaptureAt = true, s.Ingest.CaptureAt
			}
			for _, in := range s.Inputs {
				st.Inputs = append(st.Inputs, in.Shown())
			}
			return st, true
		},
	}
	for _, p := range f.Peers {
		out.Peers[entry(p)] = status.Peer{
			Hostname: p.Name(), API: p.APIURL, Public: p.Public, Given: p.PublicGiven, Fetch: p.FetchTimeout, Stale: p.StaleTimeout,
			Channels: p.ChannelLimit, CPU: p.CPULimit, Bitrate: p.MaxBitrate,
		}
	}
	return out
}
