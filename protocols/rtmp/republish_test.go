package rtmp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs/flv/amf"
	"weir/protocols/listen"
)

// A stage is a router that gives a new hub to each publisher.
type stage struct {
	*router
	mu   sync.Mutex
	hubs []*hub
}

func newStage() *stage { return &stage{router: newRouter(nil)} }

// Publish implements [listen.Router].
func (d *stage) Publish(_ context.Context, r listen.Request) (listen.Publication, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := newHub(r.Streams[0])
	d.hubs = append(d.hubs, h)
	return h, nil
}

func (d *stage) nth(t *testing.T, n int) *hub {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hubs) != n {
		t.Fatalf("%d publications, want %d", len(d.hubs), n)
	}
	return d.hubs[n-1]
}

// published is a peer whose publication of live/cam1 has begun.
func published(t *testing.T) (*stage, *server, *peer) {
	t.Helper()
	d := newStage()
	s := serve(t, d)
	p := shake(t, s.addr)
	p.publish("live", "cam1")
	p.code()
	return d, s, p
}

// publishedInBubble is published without sockets, for the bubble of a test.
func publishedInBubble(t *testing.T) (*stage, *session, *peer) {
	t.Helper()
	near, far := net.Pipe()
	d := newStage()
	s := &session{t: t, c: newConn(near, slog.New(slog.DiscardHandler)), d: d}
	s.start()
	p := shakeOn(t, far)
	_ = far.SetDeadline(time.Time{})
	go p.publish("live", "cam1")
	p.code()
	return d, s, p
}

// sends publishes two pictures, with sound before them, for which the tracks wait.
func (p *peer) sends(ts uint32) {
	p.t.Helper()
	p.tag(9, ts, avcHeader)
	p.tag(8, ts, aacHeader)
	p.tag(9, ts, idrBody)
	p.tag(8, ts, soundBody)
	p.tag(9, ts+40, sliceBody)
}

// pictures are the times of the access units of the first track.
func (h *hub) pictures() (times []int64) {
	for _, au := range h.units {
		if au.Track == 0 {
			times = append(times, au.DTS)
		}
	}
	return times
}

// answers are the next n commands, each as its name and the code in it, if it has one.
func (p *peer) answers(n int) (list []string) {
	p.t.Helper()
	for range n {
		vs := p.hear()
		text := fmt.Sprint(vs[0])
		if vs[0] == "_result" {
			text += fmt.Sprint(" ", vs[1])
		}
		for _, v := range vs[1:] {
			if o, ok := amf.AsObject(v); ok && o.Has("code") {
				text += " " + o.String("code")
			}
		}
		list = append(list, text)
	}
	return list
}

const (
	unpublished = "onStatus NetStream.Unpublish.Success"
	begun       = "onStatus NetStream.Publish.Start"
)

// republishTests are what encoders say to end a publication and to begin the next one on the same connection.
var republishTests = []struct {
	name string
	says func(p *peer)
	want []string // the answers
	then string   // the stream that is published after it
}{
	{"FMLE: FCUnpublish, deleteStream, then all from releaseStream on", func(p *peer) {
		p.say(0, "FCUnpublish", 6, nil, "cam1")
		p.say(0, "deleteStream", 7, nil, 1.0)
		p.say(0, "releaseStream", 8, nil, "cam1")
		p.say(0, "FCPublish", 9, nil, "cam1")
		p.say(0, "createStream", 10, nil)
		p.say(1, "publish", 11, nil, "cam1", "live")
	}, []string{"onFCUnpublish NetStream.Unpublish.Success", "_result 6", unpublished, "_result 8", "_result 9", "_result 10", begun}, "live/cam1"},
	{"FCUnpublish alone, then publish", func(p *peer) {
		p.say(0, "FCUnpublish", 6, nil, "cam1")
		p.say(1, "publish", 7, nil, "cam1", "live")
	}, []string{"onFCUnpublish NetStream.Unpublish.Success", "_result 6", unpublished, begun}, "live/cam1"},
	{"deleteStream, then a new message stream and another name", func(p *peer) {
		p.say(0, "deleteStream", 0, nil, 1.0)
		p.say(0, "createStream", 6, nil)
		p.say(1, "publish", 7, nil, "cam2?key=k", "record")
	}, []string{unpublished, "_result 6", begun}, "live/cam2"},
	{"closeStream, then publish on the same message stream", func(p *peer) {
		p.say(1, "closeStream", 0, nil)
		p.say(1, "publish", 6, nil, "cam1", "append")
	}, []string{unpublished, begun}, "live/cam1"},
	{"AMF3 commands", func(p *peer) {
		for _, m := range [][]any{{"FCUnpublish", 6, nil, "cam1"}, {"publish", 7, nil, "cam1"}} {
			p.send(appendMessage(nil, 128, csCommand, 17, 1, 0, append([]byte{0}, amf.Append(nil, m...)...), nil))
		}
	}, []string{"onFCUnpublish NetStream.Unpublish.Success", "_result 6", unpublished, begun}, "live/cam1"},
	{"publish of another name without an end", func(p *peer) {
		p.say(1, "publish", 6, nil, "cam3", "live")
	}, []string{begun}, "live/cam3"},
	{"deleteStream before FCUnpublish", func(p *peer) {
		p.say(0, "deleteStream", 6, nil, 1.0)
		p.say(0, "FCUnpublish", 7, nil, "cam1")
		p.say(0, "createStream", 8, nil)
		p.say(1, "publish", 9, nil, "cam1", "live")
	}, []string{unpublished, "_result 7", "_result 8", begun}, "live/cam1"},
}

func TestEncoderPublishesAgainOnTheSameConnection(t *testing.T) {
	for _, tt := range republishTests {
		t.Run(tt.name, func(t *testing.T) {
			d, s, p := published(t)
			p.sends(5000)
			first := d.nth(t, 1)
			first.wait(t, "two units", func() bool { return len(first.pictures()) == 2 })

			p.tag(9, 5080, sliceBody) // what is still on its way when the encoder says that it ends
			tt.says(p)
			if got := p.answers(len(tt.want)); !slices.Equal(got, tt.want) {
				t.Fatalf("answers = %q, want %q", got, tt.want)
			}
			if !first.closed {
				t.Error("the first publication goes on")
			}
			p.sends(0) // the clock of the encoder begins anew
			second := d.nth(t, 2)
			second.wait(t, "two more units", func() bool { return len(second.pictures()) == 2 })
			if times := second.pictures(); second.name != tt.then || times[0] != 0 || times[1] != 3600 {
				t.Errorf("publishes %s with pictures at %d, want %s with 0 and 3600", second.name, times, tt.then)
			}
			_ = p.conn.Close()
			if err := receive(t, s.ended, "the end"); err != nil {
				t.Errorf("Serve = %v", err)
			}
			if second.wait(t, "closing", func() bool { return second.closed }); len(first.pictures()) > 3 {
				t.Error("media of the second publication went to the first")
			}
		})
	}
}

func TestPublishThatIsRepeatedChangesNothing(t *testing.T) {
	d, _, p := published(t)
	p.say(1, "publish", 6, nil, "cam1", "live")
	if got := p.answers(1); got[0] != begun {
		t.Errorf("answer = %q", got)
	}
	p.sends(0)
	h := d.nth(t, 1)
	h.wait(t, "two units", func() bool { return len(h.pictures()) == 2 })
}

func TestEncoderThatLeavesWithoutWaitingForAnswersLeavesInOrder(t *testing.T) {
	_, s, p := published(t)
	p.send(line(0, "FCUnpublish", 6, nil, "cam1"), line(0, "deleteStream", 7, nil, 1.0))
	_ = p.conn.Close()
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestClientThatHasPublishedMayBeQuietForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, p := publishedInBubble(t)
		go p.say(0, "deleteStream", 0, nil, 1.0)
		p.code()
		time.Sleep(2 * time.Minute)
		go p.say(1, "publish", 6, nil, "cam1", "live")
		if code, _ := p.code(); code != "NetStream.Publish.Start" {
			t.Errorf("status = %s", code)
		}
		go p.say(0, "deleteStream", 0, nil, 1.0)
		p.code()
		began := time.Now()
		if err := <-s.ended; err != nil || time.Since(began) != republishTimeout {
			t.Errorf("Serve = %v after %v, want the end in order after %v", err, time.Since(began), republishTimeout)
		}
		s.ended <- nil
		_ = p.conn.Close()
	})
}

func TestSilentPublisherIsToldAtOnceThatItHasToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, p := publishedInBubble(t)
		time.Sleep(7 * time.Second)
		began := time.Now()
		d.nth(t, 1).over(fmt.Errorf("%w: another one has come", listen.ErrBusy))
		code, description := p.code()
		if code != "NetStream.Publish.BadName" || !strings.Contains(description, "another one has come") || time.Since(began) != 0 {
			t.Errorf("told %s, %q after %v, want BadName with the reason at once", code, description, time.Since(began))
		}
		if err := <-s.ended; !errors.Is(err, listen.ErrBusy) || time.Since(began) > lingerTimeout {
			t.Errorf("Serve = %v after %v", err, time.Since(began))
		}
		_ = p.conn.Close()
	})
}

func TestClientThatDoesNotConnectIsRefused(t *testing.T) {
	for _, command := range []string{"publish", "play"} {
		d := newStage()
		s := serve(t, d)
		p := shake(t, s.addr)
		p.say(0, "createStream", 1, nil)
		p.say(1, command, 2, nil, "cam1", "live")
		if code, _ := p.code(); code != "NetConnection.Connect.Rejected" {
			t.Errorf("%s without connect: %s, want that it is rejected", command, code)
		}
		_ = p.conn.Close()
		if err := receive(t, s.ended, "the end"); !errors.Is(err, errProtocol) {
			t.Errorf("%s without connect: Serve = %v", command, err)
		}
	}
}

func TestMessagesWithoutMediaKeepAPublisherAlive(t *testing.T) {
	d, _, p := published(t)
	p.tag(8, 0, []byte{0xaf}) // nothing is known of it yet
	h := d.nth(t, 1)
	h.wait(t, "that the publisher is heard", func() bool { return h.heard > 0 })
}
