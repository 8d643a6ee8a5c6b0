package status

import (
	"maps"
	"slices"

	"weir/protocols/api"
)

// maxSeries is how many streams have series of their own at most: each has seven, and a time series database keeps each for long.
const maxSeries = 2000

// series adds the figures of single streams to totals.
func (s *Status) series(t *api.Totals, figures map[string]Figures) {
	names := slices.Sorted(maps.Keys(figures))
	if over := len(names) - maxSeries; over > 0 {
		t.OtherStreams, names = over, names[:maxSeries]
	}
	v, now := s.cfg.View(), s.cfg.Now()
	for _, name := range names {
		f := figures[name]
		st := api.StreamTotals{Name: name, BytesIn: f.BytesIn, BytesOut: f.BytesOut, Clients: f.Clients, Restarts: f.Restarts}
		if v != nil {
			sv := v.Stream(name)
			st.Up = sv != nil && runs(sv.State)
		}
		st.Moves, st.Gap = s.cfg.History(name, now)
		t.Streams = append(t.Streams, st)
	}
}
