package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"weir/protocols/api"
)

// A sight is what one node says of the cluster.
type sight struct {
	from    string
	streams []api.Stream
	peers   []api.Peer
}

// stream gives the stream of that name, or nil.
func (s sight) stream(name string) *api.Stream {
	i := slices.IndexFunc(s.streams, func(st api.Stream) bool { return st.Name == name })
	if i < 0 {
		return nil
	}
	return &s.streams[i]
}

// Limits of one question to a node. A paused node accepts connections and answers nothing.
const (
	lookTimeout = time.Second
	maxAnswer   = 4 << 20 // in bytes
)

// A watcher asks nodes what they see.
type watcher struct{ client *http.Client }

func newWatcher() watcher {
	return watcher{&http.Client{Transport: &http.Transport{}}} // without a proxy, whatever the environment says
}

func (w watcher) close() { w.client.CloseIdleConnections() }

// look asks one node.
func (w watcher) look(ctx context.Context, n demoNode) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var streams struct {
		Streams []api.Stream `json:"streams"`
	}
	if err := w.get(ctx, n.url()+"/streamer/api/v3/streams?limit=1000", &streams); err != nil {
		return sight{}, err
	}
	var peers struct {
		Peers []api.Peer `json:"peers"`
	}
	if err := w.get(ctx, n.url()+"/streamer/api/v3/cluster/peers", &peers); err != nil {
		return sight{}, err
	}
	return sight{n.name, streams.Streams, peers.Peers}, nil
}

func (w watcher) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("reading %s: %w", url, err)
	}
	return nil
}

// lookAny asks the nodes one after the other, beginning with the one called first, until one answers.
func (w watcher) lookAny(ctx context.Context, nodes []demoNode, first string) (sight, bool) {
	begin := max(0, slices.IndexFunc(nodes, func(n demoNode) bool { return n.name == first }))
	for i := range nodes {
		if s, err := w.look(ctx, nodes[(begin+i)%len(nodes)]); err == nil {
			return s, true
		}
	}
	return sight{}, false
}

// incomplete says what is still missing until all streams run where all nodes say they do; empty means nothing. There
// is one sight for each node.
func incomplete(sights []sight, streams []demoStream) string {
	for _, want := range streams {
		for _, s := range sights {
			st := s.stream(want.name)
			switch {
			case st == nil:
				return fmt.Sprintf("%s does not know the stream %s", s.from, want.name)
			case st.Error != "":
				return fmt.Sprintf("%s is %s: %s", want.name, st.State, st.Error)
			case want.published():
			case st.Owner == "" || st.State != "running":
				return fmt.Sprintf("%s is %s, as %s sees it", want.name, st.State, s.from)
			case st.Owner != sights[0].stream(want.name).Owner:
				return fmt.Sprintf("%s and %s do not agree who captures %s", sights[0].from, s.from, want.name)
			}
		}
	}
	return ""
}
