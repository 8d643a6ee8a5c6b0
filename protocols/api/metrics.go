package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are a node's figures for Prometheus, in a registry of their own. Events are counted as they happen, by any
// goroutine; the rest is read at each scrape. Words given as labels must come from small fixed lists.
type Metrics struct {
	registry     *prometheus.Registry
	gap          *prometheus.HistogramVec
	moves        *prometheus.CounterVec
	fetchErrors  *prometheus.CounterVec
	unauthorised prometheus.Counter
	overlap      prometheus.Histogram
	lived        *prometheus.CounterVec
	silence      *prometheus.HistogramVec
}

// Totals are the figures that are read at each scrape.
type Totals struct {
	Clients  map[string]int    // sessions by protocol
	BytesOut map[string]uint64 // sent to clients since the start, by protocol
	Captures int               // streams that this node captures
	Dropped  uint64            // access units skipped for slow viewers since the start
	Restarts map[string]uint64 // of actors since the start, by kind
	Peers    []PeerTotals
	Alarms   map[string]int // those that last, by kind

	Inputs      map[string]int    // of the streams that this node captures, by state
	InputEvents map[string]uint64 // what their counters hold, by counter
	LeftOut     int               // tracks of theirs that are left out

	Connections map[string]int     // open ones of clients, by the protocol of the listener
	Refused     map[Refusal]uint64 // clients that met a limit since the start

	Balancers []Balancer

	// Streams are those that this node captures, or has clients of, unless their series are off. OtherStreams is how many more there
	// are than are given.
	Streams      []StreamTotals
	OtherStreams int
}

// StreamTotals are the figures of one stream.
type StreamTotals struct {
	Name     string
	Up       bool // media flows
	BytesIn  uint64
	BytesOut uint64 // to the clients of this node that are connected
	Clients  int    // of this node
	Restarts uint64
	Moves    uint64        // how often another node came to have it, as this node has seen it
	Gap      time.Duration // how long no node ran it, likewise
}

// A Refusal is a limit, and the protocol whose clients met it.
type Refusal struct{ Limit, Protocol string }

// PeerTotals are the figures of the link to one peer.
type PeerTotals struct {
	Name  string
	Alive bool
	RTT   time.Duration // of the last fetch; zero if there was none
}

// NewMetrics makes the figures of a node of a version. totals is called for each scrape, by any goroutine.
func NewMetrics(version string, totals func() Totals) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		gap: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_gap_seconds", Help: "For how long a stream that came to this node had no owner.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 12.5, 15, 30, 60},
		}, []string{"cause"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_moves_total", Help: "Streams that this node took from or gave to another.",
		}, []string{"reason"}),
		fetchErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_fetch_errors_total", Help: "Failed fetches of a peer's state.",
		}, []string{"peer", "why"}),
		unauthorised: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_unauthorised_total", Help: "Requests of peers that have another cluster key.",
		}),
	}
	m.overlap = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "weir_overlap_seconds", Help: "For how long several nodes captured one stream, as this node has seen it; a hand-over is none.",
		Buckets: []float64{0.1, 0.5, 1, 2, 4, 8, 15, 30, 60, 300, 1800},
	})
	m.lived = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_false_takeovers_total", Help: "How often a peer was taken for dead and had not ended.",
	}, []string{"peer"})
	m.silence = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "weir_peer_silence_ratio", Help: "Time between two answers of a peer, by its stale_timeout: at 1 it is taken for dead.",
		Buckets: []float64{0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2},
	}, []string{"peer"})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_build_info", Help: "Always 1; the version is the label.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.gap, m.moves, m.fetchErrors, m.unauthorised, m.overlap, m.lived, m.silence, info, reader{totals},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gap notes that a stream was without owner for d before this node captured it. cause is a word for what had happened
// to the one before: crash, drain, return, release.
func (m *Metrics) Gap(cause string, d time.Duration) {
	m.gap.WithLabelValues(label(cause)).Observe(d.Seconds())
}

// Moved counts a stream that came to this node or left it for another, by the reason that the streams page shows.
func (m *Metrics) Moved(reason string) { m.moves.WithLabelValues(label(reason)).Inc() }

// FetchFailed counts a fetch that failed. why is a word: timeout, refused, key, malformed.
func (m *Metrics) FetchFailed(peer, why string) {
	m.fetchErrors.WithLabelValues(label(peer), label(why)).Inc()
}

// Unauthorised counts a request with another cluster key.
func (m *Metrics) Unauthorised() { m.unauthorised.Inc() }

// Overlapped notes that several nodes captured a stream for d.
func (m *Metrics) Overlapped(d time.Duration) { m.overlap.Observe(d.Seconds()) }

// Lived counts a peer that was taken for dead and had not ended.
func (m *Metrics) Lived(peer string) { m.lived.WithLabelValues(label(peer)).Inc() }

// Silent notes the time between two answers of a peer, by the time after which it would have been taken for dead.
func (m *Metrics) Silent(peer string, ratio float64) {
	m.silence.WithLabelValues(label(peer)).Observe(ratio)
}

// label makes a word fit to be a label, which panics unless it is UTF-8. Names of peers come from other nodes.
func label(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: patience})
}

// reader turns totals into metrics.
type reader struct{ totals func() Totals }

var (
	clientsDesc  = prometheus.NewDesc("weir_clients", "Connected clients.", []string{"proto"}, nil)
	bytesOutDesc = prometheus.NewDesc("weir_bytes_out_total", "Bytes sent to clients.", []string{"proto"}, nil)
	capturesDesc = prometheus.NewDesc("weir_captures", "Streams that this node captures.", nil, nil)
	droppedDesc  = prometheus.NewDesc("weir_hub_dropped_units_total", "Access units skipped for slow viewers.", nil, nil)
	restartsDesc = prometheus.NewDesc("weir_restarts_total", "Restarts of failed actors.", []string{"kind"}, nil)
	aliveDesc    = prometheus.NewDesc("weir_peer_alive", "Whether this node takes the peer for alive.", []string{"peer"}, nil)
	alarmsDesc   = prometheus.NewDesc("weir_alarms", "Alarms that last, such as \"left out\"; /streamer/api/v3/cluster/alarms says more.", []string{"kind"}, nil)
	chosenDesc   = prometheus.NewDesc("weir_balancer_chosen_total", "Clients that this node sent to a server.", []string{"balancer", "server"}, nil)
	refusedDesc  = prometheus.NewDesc("weir_balancer_refused_total", "Clients for whom no server was left.", []string{"balancer"}, nil)
	usableDesc   = prometheus.NewDesc("weir_balancer_server_usable", "Whether a server gets clients.", []string{"balancer", "server"}, nil)
	inFlightDesc = prometheus.NewDesc("weir_balancer_in_flight", "Clients sent to a server that it has not told of yet.", []string{"balancer", "server"}, nil)
	inputsDesc   = prometheus.NewDesc("weir_inputs", "Inputs of the streams that this node captures.", []string{"state"}, nil)
	eventsDesc   = prometheus.NewDesc("weir_input_events", "What was lost, damaged or repaired in these inputs.", []string{"kind"}, nil)
	leftOutDesc  = prometheus.NewDesc("weir_input_tracks_left_out", "Tracks of these inputs that are left out.", nil, nil)
	openDesc     = prometheus.NewDesc("weir_connections", "Open connections of clients, by the protocol of the listener.", []string{"proto"}, nil)
	limitDesc    = prometheus.NewDesc("weir_limit_reached_total", "Clients that met a limit.", []string{"limit", "proto"}, nil)
	upDesc       = prometheus.NewDesc("weir_stream_up", "Whether media of the stream flows.", []string{"stream"}, nil)
	inDesc       = prometheus.NewDesc("weir_stream_bytes_in_total", "Bytes that the inputs of the stream have brought to this node.", []string{"stream"}, nil)
	outDesc      = prometheus.NewDesc("weir_stream_bytes_out", "Bytes that the connected clients of the stream have got from this node.", []string{"stream"}, nil)
	viewersDesc  = prometheus.NewDesc("weir_stream_clients", "Clients of the stream at this node.", []string{"stream"}, nil)
	begunDesc    = prometheus.NewDesc("weir_stream_restarts_total", "How often the inputs of the stream have begun anew at this node.", []string{"stream"}, nil)
	ownersDesc   = prometheus.NewDesc("weir_stream_owner_changes_total", "How often another node came to have the stream, as this node has seen it.", []string{"stream"}, nil)
	missingDesc  = prometheus.NewDesc("weir_stream_gap_seconds_total", "For how long no node ran the stream, as this node has seen it.", []string{"stream"}, nil)
	othersDesc   = prometheus.NewDesc("weir_stream_series_left_out", "Streams without series of their own, since there are too many.", nil, nil)
	rttDesc      = prometheus.NewDesc("weir_peer_rtt_seconds", "Duration of the last fetch of the peer's state.", []string{"peer"}, nil)
)

// Describe implements [prometheus.Collector]. No other collector has these metrics, so that none need be announced.
func (reader) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (r reader) Collect(ch chan<- prometheus.Metric) {
	t := r.totals()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		for i := range labels {
			labels[i] = label(labels[i])
		}
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for proto, n := range t.Clients {
		send(clientsDesc, prometheus.GaugeValue, float64(n), proto)
	}
	for proto, n := range t.BytesOut {
		send(bytesOutDesc, prometheus.CounterValue, float64(n), proto)
	}
	send(capturesDesc, prometheus.GaugeValue, float64(t.Captures))
	send(droppedDesc, prometheus.CounterValue, float64(t.Dropped))
	for kind, n := range t.Restarts {
		send(restartsDesc, prometheus.CounterValue, float64(n), kind)
	}
	for kind, n := range t.Alarms {
		send(alarmsDesc, prometheus.GaugeValue, float64(n), kind)
	}
	for state, n := range t.Inputs {
		send(inputsDesc, prometheus.GaugeValue, float64(n), state)
	}
	for kind, n := range t.InputEvents {
		send(eventsDesc, prometheus.GaugeValue, float64(n), kind)
	}
	for proto, n := range t.Connections {
		send(openDesc, prometheus.GaugeValue, float64(n), proto)
	}
	for r, n := range t.Refused {
		send(limitDesc, prometheus.CounterValue, float64(n), r.Limit, r.Protocol)
	}
	send(leftOutDesc, prometheus.GaugeValue, float64(t.LeftOut))
	for _, b := range t.Balancers { // names are unique in a file, as are the servers of one
		send(refusedDesc, prometheus.CounterValue, float64(b.Refused), b.Name)
		for _, s := range b.Servers {
			send(chosenDesc, prometheus.CounterValue, float64(s.Chosen), b.Name, s.Server)
			send(usableDesc, prometheus.GaugeValue, float64(order(s.Excluded == "")), b.Name, s.Server)
			send(inFlightDesc, prometheus.GaugeValue, float64(s.InFlight), b.Name, s.Server)
		}
	}
	send(othersDesc, prometheus.GaugeValue, float64(t.OtherStreams))
	for _, st := range t.Streams { // names are unique
		send(upDesc, prometheus.GaugeValue, float64(order(st.Up)), st.Name)
		send(inDesc, prometheus.CounterValue, float64(st.BytesIn), st.Name)
		send(outDesc, prometheus.GaugeValue, float64(st.BytesOut), st.Name)
		send(viewersDesc, prometheus.GaugeValue, float64(st.Clients), st.Name)
		send(begunDesc, prometheus.CounterValue, float64(st.Restarts), st.Name)
		send(ownersDesc, prometheus.CounterValue, float64(st.Moves), st.Name)
		send(missingDesc, prometheus.CounterValue, st.Gap.Seconds(), st.Name)
	}
	seen := map[string]bool{} // two series with the same labels would fail the whole scrape
	for _, p := range t.Peers {
		name := label(p.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		send(aliveDesc, prometheus.GaugeValue, float64(order(p.Alive)), name)
		if p.RTT > 0 {
			send(rttDesc, prometheus.GaugeValue, p.RTT.Seconds(), name)
		}
	}
}
