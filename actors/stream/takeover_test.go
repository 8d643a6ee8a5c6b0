package stream_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/act"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/protocols/listen"
)

// takeoverTests say after which silence a publisher gives way to another one.
var takeoverTests = []struct {
	name    string
	rule    stream.Takeover
	silence time.Duration
	gives   bool
}{
	{"one that has just sent", 0, 0, false},
	{"one that pauses", 0, 4900 * time.Millisecond, false},
	{"one that has sent nothing for five seconds", 0, 5 * time.Second, true},
	{"one that has sent nothing for as long as the file says", stream.Takeover(2 * time.Second), 2 * time.Second, true},
	{"one that has not yet", stream.Takeover(20 * time.Second), 19 * time.Second, false},
	{"any", stream.Always, 0, true},
	{"none", stream.Never, time.Hour, false},
}

// takes asks the publisher of a stream to give way.
func (b *bench) takes(name string) (free bool, gone string) {
	type answer struct {
		free bool
		gone string
	}
	c := make(chan answer, 1)
	b.send(stream.GiveWay{Stream: name, Reply: func(free bool, gone string) { c <- answer{free, gone} }})
	a := <-c
	return a.free, a.gone
}

func TestSilentPublisherGivesWay(t *testing.T) {
	for _, tt := range takeoverTests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBenchWith(t, func(c *stream.Config) { // no other node has the stream
					c.Relay = func(string) input.Source {
						return input.Run(func(ctx context.Context, _ input.Writer) error {
							<-ctx.Done()
							return ctx.Err()
						})
					}
				}, stream.Spec{Name: "live", Published: true, Takeover: tt.rule})
				publish := func(session string) (listen.Publication, error) {
					reply := act.NewReply[stream.Published]()
					b.send(stream.Publish{Stream: "live", Session: session, Reply: reply})
					p, err := reply.Wait(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					return p.Publication, p.Err
				}
				first, err := publish("1.2.3.4:5")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // it is heard after this
				first.SetTracks(tracks)
				if err := first.Write(unit(0)); err != nil {
					t.Fatal(err)
				}
				feed := b.want("live", false).Hub.Units()
				defer feed.Close()
				time.Sleep(tt.silence)
				free, gone := b.takes("live")
				if free != tt.gives || (gone == "1.2.3.4:5") != tt.gives {
					t.Errorf("gives way: %v, %q, want %v", free, gone, tt.gives)
				}
				if over := first.Context().Err() != nil; over != tt.gives {
					t.Errorf("its publication has ended: %v, want %v", over, tt.gives)
				}
				second, err := publish("1.2.3.4:6")
				if (err == nil) != tt.gives {
					t.Errorf("the newcomer: error = %v, want admitted %v", err, tt.gives)
				}
				if !tt.gives {
					b.end()
					return
				}
				if b.last() != stream.Unpublished {
					t.Errorf("the control plane was told %v before the newcomer was", b.last())
				}
				if cause := context.Cause(first.Context()); !errors.Is(cause, listen.ErrBusy) || first.Write(unit(1)) == nil {
					t.Errorf("the first publisher is told %v, want %v", cause, listen.ErrBusy)
				}
				time.Sleep(time.Second) // as an encoder takes
				second.SetTracks(tracks)
				if err := second.Write(unit(10 * picture)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if b.last() != stream.Running {
					t.Errorf("status = %v, want running", b.last())
				}
				n := 0 // the viewer is kept
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for n < 2 {
					units, _, err := feed.Next(ctx, nil)
					if err != nil {
						t.Fatalf("a viewer: %v", err)
					}
					n += len(units)
				}
				b.end()
			})
		})
	}
}

func TestNewcomerIsAdmittedThoughTheOneThatGaveWayIsStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true, Takeover: stream.Always})
		reply := act.NewReply[stream.Published]()
		b.send(stream.Publish{Stream: "live", Session: "1.2.3.4:5", Reply: reply})
		if p, err := reply.Wait(t.Context()); err != nil || p.Err != nil {
			t.Fatal(err, p.Err)
		}
		reply = act.NewReply[stream.Published]()
		b.sys.Root.Send(b.pid, stream.GiveWay{Stream: "live", Reply: func(bool, string) {}})
		b.sys.Root.Send(b.pid, stream.Publish{Stream: "live", Session: "1.2.3.4:6", Reply: reply})
		p, err := reply.Wait(t.Context())
		if err != nil || p.Err != nil {
			t.Fatalf("the newcomer: %v, %v, want it admitted", err, p.Err)
		}
		p.Publication.Close()
		b.end()
	})
}

func TestPublisherThatIsHeardWithoutMediaDoesNotGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true})
		reply := act.NewReply[stream.Published]()
		b.send(stream.Publish{Stream: "live", Session: "1.2.3.4:5", Reply: reply})
		p, _ := reply.Wait(t.Context())
		time.Sleep(time.Minute)
		p.Publication.Heard()
		time.Sleep(4 * time.Second)
		if free, _ := b.takes("live"); free {
			t.Error("it gives way")
		}
		p.Publication.Close()
		synctest.Wait()
		if free, gone := b.takes("live"); !free || gone != "" {
			t.Errorf("after it has left: %v, %q, want a free name", free, gone)
		}
		if free, _ := b.takes("nobody"); !free {
			t.Error("a stream that does not exist has no publisher")
		}
		b.end()
	})
}

func TestControlPlaneIsToldThatAPublisherIsSilentAndSendsAgain(t *testing.T) {
	for rule, silence := range map[stream.Takeover]time.Duration{
		0: 5 * time.Second, stream.Always: 5 * time.Second, stream.Never: 5 * time.Second,
		stream.Takeover(9 * time.Second): 9 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, stream.Spec{Name: "live", Published: true, Takeover: rule})
			reply := act.NewReply[stream.Published]()
			b.send(stream.Publish{Stream: "live", Session: "1.2.3.4:5", Reply: reply})
			p, err := reply.Wait(t.Context())
			if err != nil || p.Err != nil {
				t.Fatal(err, p.Err)
			}
			time.Sleep(time.Minute)
			if b.last() == stream.Silent {
				t.Error("it counts as silent before its first media")
			}
			p.Publication.SetTracks(tracks)
			write := func(dts int64) {
				t.Helper()
				if err := p.Publication.Write(unit(dts)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if b.last() != stream.Running {
					t.Errorf("rule %d: status of a publisher that sends = %v, want running", rule, b.last())
				}
			}
			silent := func() {
				t.Helper()
				time.Sleep(silence - time.Millisecond)
				if b.last() != stream.Running {
					t.Errorf("rule %d: status within %s = %v, want running", rule, silence, b.last())
				}
				time.Sleep(2*time.Second + time.Millisecond)
				if b.last() != stream.Silent {
					t.Errorf("rule %d: status after a silence of %s = %v, want silent", rule, silence, b.last())
				}
				time.Sleep(time.Minute)
			}
			write(0)
			silent()
			told := len(b.statuses)
			write(picture)
			if len(b.statuses) != told+1 {
				t.Errorf("rule %d: the control plane is told %v, want once that it runs", rule, b.statuses[told:])
			}
			silent()
			b.env.armed.Store(true) // the core fails at its next look at the clock
			time.Sleep(10 * time.Second)
			if b.env.armed.Load() {
				t.Fatal("the core did not fail")
			}
			if _, is, _ := b.registry.Get("live"); b.last() != stream.Silent || !is.Silent {
				t.Errorf("rule %d: status after the core has failed = %v, %v, want silent", rule, b.last(), is.Silent)
			}
			write(2 * picture)
			p.Publication.Heard()
			time.Sleep(silence - time.Millisecond)
			p.Publication.Heard() // sends messages without media
			time.Sleep(silence - time.Millisecond)
			if b.last() != stream.Running {
				t.Errorf("rule %d: status of a publisher that is heard = %v, want running", rule, b.last())
			}
			b.end()
		})
	}
}
