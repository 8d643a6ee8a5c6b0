package real

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"weir/sim"
)

// pair makes the links between two nodes, of which nothing listens.
func pair() (there, back *link) {
	a, b := &node{name: "a"}, &node{name: "b", index: 1}
	there = &link{from: a, to: b, rng: rand.New(rand.NewPCG(1, 1)), changed: make(chan struct{}), conns: map[*relayed]struct{}{}}
	back = &link{from: b, to: a, rng: rand.New(rand.NewPCG(1, 2)), changed: make(chan struct{}), conns: map[*relayed]struct{}{}, back: there}
	there.back = back
	return there, back
}

func TestBytesWaitUntilTheirLinkIsWhole(t *testing.T) {
	for _, tt := range []struct {
		name        string
		there, back behaviour
		question    bool // bytes of a who asks b pass
		answer      bool // bytes of b who answers a pass
	}{
		{"whole", behaviour{}, behaviour{}, true, true},
		{"cut there", behaviour{cut: 1}, behaviour{}, false, true},
		{"cut back", behaviour{}, behaviour{cut: 1}, true, false},
		{"clogged there", behaviour{clog: 1}, behaviour{}, false, true},
		{"half open: questions arrive, answers do not", behaviour{halfOpen: 1}, behaviour{}, true, false},
		{"half open the other way", behaviour{}, behaviour{halfOpen: 1}, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			there, back := pair()
			there.set(tt.there)
			back.set(tt.back)
			question, answer := false, false
			go func() { question = there.pass(false) }()
			go func() { answer = back.pass(true) }()
			synctest.Wait()
			if question != tt.question || answer != tt.answer {
				t.Errorf("%s: questions pass: %t, answers: %t; want %t, %t", tt.name, question, answer, tt.question, tt.answer)
			}
			there.set(behaviour{})
			back.set(behaviour{})
			synctest.Wait()
			if !question || !answer {
				t.Errorf("%s, then whole: questions pass: %t, answers: %t", tt.name, question, answer)
			}
		})
	}
}

func TestFateOfAChunkIsThatOfItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name        string
			b           behaviour
			least, most time.Duration
			broken      bool
		}{
			{"nothing", behaviour{}, 0, 0, false},
			{"delay", behaviour{delay: sim.Range{Min: 20 * time.Millisecond, Max: 30 * time.Millisecond}}, 20 * time.Millisecond, 30 * time.Millisecond, false},
			{"reset", behaviour{reset: sim.Percent(100)}, 0, 0, true},
			{"lost and sent again", behaviour{loss: sim.Percent(100)}, time.Minute, 3 * time.Minute, false},
			{"spike", behaviour{spike: sim.Percent(100), spikeBy: sim.Range{Min: time.Second, Max: time.Second}}, time.Second, time.Second, false},
			{"bandwidth", behaviour{bandwidth: 1000}, 500 * time.Millisecond, 500 * time.Millisecond, false},
		} {
			l, _ := pair()
			l.set(tt.b)
			f := l.fate(500)
			if f.broken != tt.broken {
				t.Errorf("%s: broken: %t, want %t", tt.name, f.broken, tt.broken)
			}
			begin := time.Now()
			if l.wait(f); !f.broken && (time.Since(begin) < tt.least || time.Since(begin) > tt.most) {
				t.Errorf("%s: in %v, want %v to %v", tt.name, time.Since(begin), tt.least, tt.most)
			}
		}
	})
}

func TestBytesThatAreQueuedArriveWhenTheBandwidthIsLimitedNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := pair()
		l.set(behaviour{bandwidth: 1000})
		begin := time.Now()
		l.fate(100_000)
		f := l.fate(1000)
		go func() {
			time.Sleep(2 * time.Second)
			l.set(behaviour{})
		}()
		if l.wait(f); time.Since(begin) != 2*time.Second {
			t.Errorf("they arrive after %v, want 2 s", time.Since(begin))
		}
		l.set(behaviour{bandwidth: 1000})
		begin = time.Now()
		if l.wait(l.fate(1000)); time.Since(begin) != time.Second {
			t.Errorf("the next bytes arrive after %v, want 1 s", time.Since(begin))
		}
	})
}

// impossible are the kinds of actions that nothing outside a process can do to it, by their words and, if several share one, by
// what follows. A new kind has to be done in step.go or to stand here.
var impossible = map[string]bool{
	"suspend": true, "throttle": true, "exhaust": true, "kill": true, "fail": true, "block": true, "wrong-key": true, "foreign": true, "clock": true, "load": true,
	"swizzle": true, "burst": true, "duplicate": true, "reorder": true, "broken-replies": true, "random": true, "crowd": true,
	"coworker-publish": true, "coworker-crash": true,
}

func TestEveryKindOfActionIsDoneOrNamedImpossible(t *testing.T) {
	for _, k := range sim.Kinds() {
		if got := Possible(reflect.Zero(k.Type).Interface()); got == impossible[k.Word] {
			t.Errorf("%s %s: possible: %t, and named impossible: %t", k.Word, k.Args, got, impossible[k.Word])
		}
	}
}
