package balance

import (
	"fmt"
	"slices"
	"testing"

	"weir/cluster/place"
)

// four are four servers without caps or countries.
func four(mode Mode) Config {
	c := Config{Mode: mode}
	for i := range 4 {
		c.Servers = append(c.Servers, Entry{Name: fmt.Sprintf("p%d", i+1)})
	}
	return c
}

// ready are so many servers that say the same.
func ready(n int) []Server {
	return slices.Repeat([]Server{{State: Ready}}, n)
}

// geo is the example of the second seed.
func geo() Config {
	return Config{Mode: Bitrate, Servers: []Entry{
		{Name: "p1", MaxBitrate: 60e6, Countries: []string{"RU"}},
		{Name: "p2", MaxBitrate: 40e6, Countries: []string{"CN", "RU"}},
		{Name: "p3", MaxBitrate: 30e6, Countries: []string{"CN"}, Default: true},
		{Name: "p4", MaxBitrate: 30e6, Default: true},
	}}
}

// got says which servers got clients of that kind, in a row.
func got(b *Balancer, servers []Server, r Request, clients int) (names []string) {
	for i := range clients {
		r.Session = uint64(i)
		if at := b.Choose(0, servers, r); at >= 0 {
			names = append(names, b.cfg.Servers[at].Name)
		} else {
			names = append(names, "none")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestCountriesGetTheServersOfTheExample(t *testing.T) {
	for _, tt := range []struct {
		country string
		out     map[int]State // by index
		want    []string
	}{
		{"CN", nil, []string{"p2", "p3"}},
		{"RU", nil, []string{"p1", "p2"}},
		{"DE", nil, []string{"p3", "p4"}},
		{"", nil, []string{"p3", "p4"}},
		{"CN", map[int]State{1: Down}, []string{"p3"}},
		{"CN", map[int]State{2: Draining}, []string{"p2"}},
		{"CN", map[int]State{1: Down, 2: Down}, []string{"p4"}},
		{"RU", map[int]State{0: Down, 1: Unauthorised}, []string{"p3", "p4"}},
		{"RU", map[int]State{0: Down, 1: Down, 2: Down}, []string{"p4"}},
		{"DE", map[int]State{2: Down}, []string{"p4"}},
		{"DE", map[int]State{2: Down, 3: Draining}, []string{"none"}},
		{"RU", map[int]State{0: Failing, 1: Down, 2: Unfit, 3: Lacking}, []string{"none"}},
		{"RU", map[int]State{0: Booting}, []string{"p2"}},
		{"RU", map[int]State{0: Booting, 1: Down}, []string{"p1"}},
	} {
		servers := ready(4)
		for i, s := range tt.out {
			servers[i].State = s
		}
		if names := got(New(geo()), servers, Request{Country: tt.country}, 6); !slices.Equal(names, tt.want) {
			t.Errorf("country %q with %v: servers %v, want %v", tt.country, tt.out, names, tt.want)
		}
	}
}

func TestServersWithoutCountriesAreForEverybody(t *testing.T) {
	c := Config{Mode: Clients, Servers: []Entry{{Name: "ru", Countries: []string{"RU"}}, {Name: "any"}, {Name: "rest", Default: true}}}
	for country, want := range map[string][]string{"RU": {"ru"}, "DE": {"any", "rest"}, "": {"any", "rest"}} {
		if names := got(New(c), ready(3), Request{Country: country}, 6); !slices.Equal(names, want) {
			t.Errorf("country %q: servers %v, want %v", country, names, want)
		}
	}
}

func TestModesPickByTheirFigure(t *testing.T) {
	for _, tt := range []struct {
		mode    Mode
		caps    []int64
		servers []Server
		want    string
	}{
		{Clients, nil, []Server{{Clients: 5}, {Clients: 3}, {Clients: 4}, {Clients: 9}}, "p2"},
		{Clients, nil, []Server{{Clients: 5, Bits: 1}, {Clients: 3, Bits: 9e9}, {Clients: 4}, {Clients: 9}}, "p2"},
		{Bitrate, nil, []Server{{Clients: 1, Bits: 80e6}, {Clients: 20, Bits: 30e6}, {Clients: 1, Bits: 50e6}, {Clients: 1, Bits: 50e6}}, "p2"},
		{Usage, []int64{100e6, 10e6, 50e6, 50e6}, []Server{{Bits: 40e6}, {Bits: 3e6}, {Bits: 25e6}, {Bits: 20e6}}, "p2"},
		{Usage, []int64{1000e6, 10e6, 50e6, 50e6}, []Server{{Bits: 200e6}, {Bits: 9e6}, {Bits: 25e6}, {Bits: 20e6}}, "p1"},
		{Streams, nil, []Server{{Streams: 2}, {Streams: 7}, {Streams: 1, Clients: 99}, {Streams: 3}}, "p3"},
	} {
		c := four(tt.mode)
		for i := range tt.caps {
			c.Servers[i].MaxBitrate = tt.caps[i]
		}
		for i := range tt.servers {
			tt.servers[i].State = Ready
		}
		if at := New(c).Choose(0, tt.servers, Request{Session: 1}); c.Servers[at].Name != tt.want {
			t.Errorf("mode %s of %+v: %s, want %s", tt.mode, tt.servers, c.Servers[at].Name, tt.want)
		}
	}
}

func TestCapHoldsInEveryMode(t *testing.T) {
	for _, mode := range []Mode{Clients, Bitrate, Usage, Streams} {
		c := four(mode)
		for i := range c.Servers {
			c.Servers[i].MaxBitrate = 10e6
		}
		b := New(c)
		served := 0
		for i := range 100 {
			if b.Choose(Instant(i)*Millisecond, ready(4), Request{Session: uint64(i), Bits: 3e6}) >= 0 {
				served++
			}
		}
		if served != 12 { // three of 3 Mbit/s at each of four
			t.Errorf("mode %s: %d clients, want 12", mode, served)
		}
		if _, refused := b.Report(0, ready(4)); refused != 88 {
			t.Errorf("mode %s: %d refused, want 88", mode, refused)
		}
	}
}

func TestUnknownBitRateKeepsNobodyOutOfAServerWithRoom(t *testing.T) {
	c := Config{Mode: Usage, Servers: []Entry{{Name: "small", MaxBitrate: 400e3}}}
	if at := New(c).Choose(0, ready(1), Request{}); at != 0 {
		t.Errorf("an idle server with a cap below what a client usually needs got %d, want the client", at)
	}
}

func TestServerThatHasTheStreamIsPreferredWhereTheModeLeavesAChoice(t *testing.T) {
	for _, mode := range []Mode{Clients, Bitrate, Usage, Streams} {
		c := four(mode)
		for i := range c.Servers {
			c.Servers[i].MaxBitrate = 1e9
		}
		for has := range 4 {
			servers := ready(4)
			servers[has].Has = true
			for session := range uint64(50) {
				if at := New(c).Choose(0, servers, Request{Session: session}); at != has {
					t.Fatalf("mode %s: server %d of equal ones, want %d, which has the stream", mode, at, has)
				}
			}
			servers[has].Clients, servers[has].Bits, servers[has].Streams = 10, 100e6, 10
			if at := New(c).Choose(0, servers, Request{Session: 1}); at == has {
				t.Errorf("mode %s: the busiest server was chosen because it has the stream", mode)
			}
		}
	}
}

func TestTiesAreBrokenByTheSessionAndNotByTheOrder(t *testing.T) {
	c := four(Clients)
	count := make([]int, 4)
	for session := range uint64(4000) {
		first := New(c).Choose(0, ready(4), Request{Session: place.Mix(session)})
		count[first]++
		turned := c
		turned.Servers = slices.Clone(c.Servers)
		slices.Reverse(turned.Servers)
		if again := New(turned).Choose(0, ready(4), Request{Session: place.Mix(session)}); turned.Servers[again].Name != c.Servers[first].Name {
			t.Fatalf("session %d: %s and, in another order, %s", session, c.Servers[first].Name, turned.Servers[again].Name)
		}
	}
	for i, n := range count {
		if n < 850 || n > 1150 {
			t.Errorf("server %d got %d of 4000 sessions in a tie, want about 1000", i, n)
		}
	}
}

// burst is 10,000 requests in one second; all that the servers say is as old as can be: they measured before it began.
func burst(c Config, blind bool) []int {
	c.Blind = blind
	b := New(c)
	count := make([]int, len(c.Servers))
	for i := range 10_000 {
		if at := b.Choose(10*Second+Instant(i)*Second/10_000, ready(len(c.Servers)), Request{Session: 7}); at >= 0 {
			count[at]++
		}
	}
	return count
}

func TestBurstIsSpreadAsTheModeWantsOnlyBecauseChoicesCount(t *testing.T) {
	for _, tt := range []struct {
		mode Mode
		want []int
	}{
		{Clients, []int{2500, 2500, 2500, 2500}},
		{Bitrate, []int{2500, 2500, 2500, 2500}},
		{Usage, []int{1000, 2000, 3000, 4000}},
		{Streams, []int{2500, 2500, 2500, 2500}},
	} {
		c := four(tt.mode)
		for i := range c.Servers {
			c.Servers[i].MaxBitrate = int64(i+1) * 100e9
		}
		count := burst(c, false)
		for i := range count {
			if d := count[i] - tt.want[i]; d > tt.want[i]/20 || -d > tt.want[i]/20 {
				t.Errorf("mode %s: %v, want %v within 5 %%", tt.mode, count, tt.want)
				break
			}
		}
		if blind := burst(c, true); slices.Max(blind) != 10_000 {
			t.Errorf("mode %s without counting: %v, want all at one server", tt.mode, blind)
		}
	}
}

func TestFortyPublishersAreTenEach(t *testing.T) {
	b := New(four(Streams))
	count := make([]int, 4)
	for i := range 40 {
		count[b.Choose(Instant(i)*50*Millisecond, ready(4), Request{Session: uint64(i), Publish: true})]++
	}
	if !slices.Equal(count, []int{10, 10, 10, 10}) {
		t.Errorf("publishers by server: %v, want 10 each", count)
	}
}

// A world is servers that take their clients after a while and tell of them later still.
type world struct {
	b       *Balancer
	arrives []arrival
	clients []int
	joined  [][]Instant
	told    []Server
}

type arrival struct {
	at     Instant
	server int
}

const clientBits = 3_000_000

// tell makes the statistics of a server as of an instant: each client is in the average for as long as it was there.
func (w *world) tell(i int, now Instant) {
	s := Server{State: Ready, Measured: now}
	for _, at := range w.joined[i] {
		s.Clients++
		s.Bits += scale(clientBits, int64(min(now-at, OutputWindow)), int64(OutputWindow))
	}
	w.told[i] = s
}

func TestSpreadStaysEvenWhileStatisticsComeLate(t *testing.T) {
	for _, mode := range []Mode{Clients, Bitrate, Usage} {
		c := four(mode)
		for i := range c.Servers {
			c.Servers[i].MaxBitrate = 1e12
		}
		w := &world{b: New(c), clients: make([]int, 4), joined: make([][]Instant, 4), told: ready(4)}
		worst := 0
		for ms := range 30_000 {
			now := Instant(ms) * Millisecond
			for len(w.arrives) > 0 && w.arrives[0].at <= now {
				a := w.arrives[0]
				w.arrives = w.arrives[1:]
				w.joined[a.server] = append(w.joined[a.server], now)
			}
			for i := range 4 {
				if ms%2000 == 500*i { // each at its own time
					w.tell(i, now)
				}
			}
			if ms%10 == 0 { // a hundred clients a second
				at := w.b.Choose(now, w.told, Request{Session: 3, Bits: clientBits})
				w.clients[at]++
				w.arrives = append(w.arrives, arrival{now + 300*Millisecond, at})
			}
			if n := slices.Max(w.clients) - slices.Min(w.clients); ms > 5000 && n*100 > worst*slices.Max(w.clients) {
				worst = n * 100 / slices.Max(w.clients)
			}
		}
		t.Logf("mode %s: %v, at worst %d %% apart", mode, w.clients, worst)
		if n := slices.Max(w.clients) - slices.Min(w.clients); n*20 > slices.Max(w.clients) {
			t.Errorf("mode %s: clients %v, want them within 5 %%", mode, w.clients)
		}
	}
}

func TestClientsWhoNeverComeAreSpreadEvenlyTooWhileNewStatisticsDoNotShowThem(t *testing.T) {
	for _, mode := range []Mode{Clients, Bitrate, Usage, Streams} {
		c := four(mode)
		want := []int{2500, 2500, 2500, 2500}
		for i := range c.Servers {
			c.Servers[i].MaxBitrate = 1e12
			if mode == Usage {
				c.Servers[i].MaxBitrate *= int64(i + 1)
				want[i] = 1000 * (i + 1)
			}
		}
		b, count, servers := New(c), make([]int, 4), ready(4)
		for i := range 10_000 { // in four seconds
			now := 10*Second + Instant(i)*4*Second/10_000
			for j := range servers {
				if i%5000 == 1250*j {
					servers[j].Measured = now - 700*Millisecond
				}
			}
			count[b.Choose(now, servers, Request{Session: 7})]++
		}
		for i := range count {
			if d := count[i] - want[i]; d > want[i]/20 || -d > want[i]/20 {
				t.Errorf("mode %s: %v, want %v within 5 %%", mode, count, want)
				break
			}
		}
	}
}

func TestServerThatJoinsLateIsFilledWithoutOvershooting(t *testing.T) {
	w := &world{b: New(four(Clients)), clients: []int{0, 1000, 1000, 1000}, joined: make([][]Instant, 4), told: ready(4)}
	for i := range w.joined {
		w.joined[i] = make([]Instant, w.clients[i])
	}
	most := 0
	for ms := range 60_000 {
		now := 60*Second + Instant(ms)*Millisecond
		for len(w.arrives) > 0 && w.arrives[0].at <= now {
			a := w.arrives[0]
			w.arrives = w.arrives[1:]
			w.joined[a.server] = append(w.joined[a.server], now)
		}
		for i := range 4 {
			if ms%2000 == 500*i {
				w.tell(i, now)
			}
		}
		if ms%10 == 0 {
			at := w.b.Choose(now, w.told, Request{Session: 3})
			w.clients[at]++
			w.arrives = append(w.arrives, arrival{now + 300*Millisecond, at})
		}
		most = max(most, w.clients[0]-slices.Min(w.clients[1:]))
	}
	t.Logf("after a minute: %v; the late one was never more than %d above another", w.clients, most)
	if most > slices.Max(w.clients)/20 || slices.Max(w.clients)-slices.Min(w.clients) > slices.Max(w.clients)/20 {
		t.Errorf("clients %v, and the late server was %d above another, want neither more than 5 %%", w.clients, most)
	}
}

func TestSeveralNodesThatChooseTogetherDoNotOvershoot(t *testing.T) {
	// Four nodes get a quarter of the clients each; the first server has 400 fewer than the others.
	servers := ready(4)
	for i := range servers[1:] {
		servers[i+1].Clients = 400
	}
	sent := make([]int, 4)
	nodes := []*Balancer{New(four(Clients)), New(four(Clients)), New(four(Clients)), New(four(Clients))}
	for i := range 1200 {
		sent[nodes[i%4].Choose(0, servers, Request{Session: uint64(i), Weight: 4000})]++
	}
	for i, n := range sent {
		if have := n + servers[i].Clients; have < 570 || have > 630 {
			t.Errorf("server %d has %d clients, want about 600: %v were sent", i, have, sent)
		}
	}
}

func TestReloadForgetsNoChoices(t *testing.T) {
	old := New(four(Clients))
	for i := range 30 {
		old.Choose(0, ready(4)[:4], Request{Session: uint64(i), Country: "x"})
	}
	c := four(Clients)
	c.Servers = append([]Entry{{Name: "new"}}, c.Servers...)
	b := New(c)
	b.Adopt(old)
	for range 7 {
		if at := b.Choose(Second/2, ready(5), Request{Session: 5}); at != 0 {
			t.Errorf("server %d, want the new one until it has as many as the others", at)
		}
	}
}

func TestReportSaysWhoCarriesWhatAndWhyNot(t *testing.T) {
	c := geo()
	b := New(c)
	servers := []Server{{State: Ready, Bits: 60e6, Clients: 20}, {State: Draining, Bits: 20e6}, {State: Ready, Bits: 20e6}, {State: Down}}
	b.Choose(0, servers, Request{Bits: 1e6})
	list, _ := b.Report(0, servers)
	want := []Report{
		{Name: "p1", Clients: 20, Bits: 60e6, Share: 594, Usage: 1000, Excluded: "full"},
		{Name: "p2", Bits: 20e6, Share: 198, Usage: 500, Excluded: "draining"},
		{Name: "p3", Clients: 1, InFlight: 1, Bits: 21e6, Share: 207, Usage: 700, Chosen: 1},
		{Name: "p4", Excluded: "dead"},
	}
	if !slices.Equal(list, want) {
		t.Errorf("report %+v\nwant %+v", list, want)
	}
}

func FuzzChoose(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint64(1))
	f.Add([]byte("some servers and some clients in an order"), uint64(42))
	f.Fuzz(func(t *testing.T, data []byte, session uint64) {
		at := 0
		next := func() byte {
			if at >= len(data) {
				return 0
			}
			at++
			return data[at-1]
		}
		c := Config{Mode: []Mode{Clients, Bitrate, Usage, Streams}[next()%4]}
		lands := []string{"RU", "CN", "DE"}
		for i := range int(next()%6) + 1 {
			e := Entry{Name: fmt.Sprint(i), Default: next()%2 == 0, MaxBitrate: int64(next()) * 1e6}
			for _, l := range lands {
				if next()%3 == 0 {
					e.Countries = append(e.Countries, l)
				}
			}
			c.Servers = append(c.Servers, e)
		}
		b, now := New(c), Instant(0)
		for at < len(data) {
			now += Instant(next()) * 50 * Millisecond
			servers := make([]Server, len(c.Servers))
			for i := range servers {
				servers[i] = Server{
					State: State(next() % 8), Clients: int(next()), Bits: int64(next()) * 1e6, Streams: int(next()),
					Measured: now - Instant(next())*100*Millisecond, Has: next()%2 == 0, Full: next()%4 == 0,
				}
			}
			r := Request{Country: append(lands, "")[next()%4], Session: session, Publish: next()%4 == 0, Bits: int64(next()) * 1e5}
			chosen := b.Choose(now, servers, r)
			check(t, c, servers, r, chosen)
		}
	})
}

// check fails if a choice breaks a rule that holds whatever was chosen before.
func check(t *testing.T, c Config, servers []Server, r Request, chosen int) {
	t.Helper()
	listed := func(i int) bool { return slices.Contains(c.Servers[i].Countries, r.Country) }
	may := func(i int) bool {
		s, e := servers[i], c.Servers[i]
		return (s.State == Ready || s.State == Booting) && (e.MaxBitrate == 0 || s.Bits < e.MaxBitrate) && (!r.Publish || !s.Full) &&
			(listed(i) || e.Default || len(e.Countries) == 0)
	}
	if chosen < 0 {
		for i := range servers {
			if may(i) && c.Servers[i].MaxBitrate == 0 {
				t.Fatalf("nobody was chosen of %+v for %+v although %d could be", servers, r, i)
			}
		}
		return
	}
	if !may(chosen) {
		t.Fatalf("server %d was chosen of %+v of %+v for %+v", chosen, servers, c.Servers, r)
	}
	if !listed(chosen) {
		for i := range servers {
			if listed(i) && may(i) && c.Servers[i].MaxBitrate == 0 {
				t.Fatalf("server %d was chosen for %+v although %d lists the country", chosen, r, i)
			}
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	c := Config{Mode: Bitrate}
	for i := range 20 {
		c.Servers = append(c.Servers, Entry{Name: fmt.Sprint(i), MaxBitrate: 1e15})
	}
	lb, servers := New(c), ready(20)
	for i := range b.N {
		lb.Choose(Instant(i)*Second/10_000, servers, Request{Session: uint64(i)})
	}
}

func TestReloadWithAnotherModeForgetsTheFiguresOfTheOldOne(t *testing.T) {
	servers := ready(4)
	for i := range servers {
		servers[i].Clients, servers[i].Streams, servers[i].Measured = 100, 5, 1
	}
	old := New(four(Streams))
	for i := range 8 {
		old.Choose(1, servers, Request{Session: uint64(i)})
	}
	b := New(four(Clients))
	b.Adopt(old)
	for i := range servers {
		servers[i].Measured = 2 // nobody has come since
	}
	list, _ := b.Report(2, servers)
	pending := 0
	for _, r := range list {
		pending += r.InFlight
	}
	if pending != 8 {
		t.Errorf("of 8 clients who are on their way %d count after a change of mode, want 8", pending)
	}
}

func TestClientWhoHasNotComeByTheHorizonIsForgotten(t *testing.T) {
	b, servers := New(four(Clients)), ready(4)
	b.Choose(Second, servers, Request{})
	for _, tt := range []struct {
		at   Instant
		want int
	}{{Second + horizon - 1, 1}, {Second + horizon, 0}} {
		list, _ := b.Report(tt.at, servers)
		got := 0
		for _, r := range list {
			got += r.InFlight
		}
		if got != tt.want {
			t.Errorf("at %d s, with figures from before the choice, %d clients are on their way, want %d", tt.at/Second, got, tt.want)
		}
	}
}

func TestServerThatBootsCountsInTheUsualBitRate(t *testing.T) {
	servers := []Server{{State: Ready, Clients: 10, Bits: 20_000_000}, {State: Booting, Clients: 10, Bits: 80_000_000}}
	if got := bitsOf(servers, Request{}); got != 5_000_000 {
		t.Errorf("a client is expected to need %d bit/s, want 5000000", got)
	}
}

func TestNoPublisherIsSentToAServerThatTakesNoStreams(t *testing.T) {
	b, servers := New(four(Streams)), ready(4)
	servers[2].Full = true
	for i := range 40 {
		if got := b.Choose(Instant(i)*50*Millisecond, servers, Request{Session: uint64(i), Publish: true}); got == 2 {
			t.Fatalf("publisher %d is sent to server 2, which takes no streams", i)
		}
	}
}
