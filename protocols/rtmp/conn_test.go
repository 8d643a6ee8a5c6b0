package rtmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/flv/amf"
	"weir/protocols"
	"weir/protocols/listen"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Configurations as ffmpeg 5.1 writes them for pictures of 96x64 and sound at 44.1 kHz.
var (
	avcC = unhex("01f4000affe1001767f4000a919b28c4d808800000030080000019078912cb01000668ef82519219fff8f800")
	asc  = unhex("120856e500")

	avcHeader = append([]byte{0x17, 0, 0, 0, 0}, avcC...)
	aacHeader = append([]byte{0xaf, 0}, asc...)
	idrBody   = []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 4, 0x65, 1, 2, 3}
	sliceBody = []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 3, 0x41, 4, 5}
	soundBody = []byte{0xaf, 1, 7, 8}

	// pictures is onMetaData that announces no sound, so that none is waited for.
	pictures = amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{{Key: "videocodecid", Value: 7.0}})

	tracks = codecs.Tracks{
		{Codec: codecs.H264, Config: avcC, Width: 96, Height: 64},
		{Codec: codecs.AAC, Config: asc, SampleRate: 44100, Channels: 1},
	}
)

// A peer is the other end of a Conn, by hand.
type peer struct {
	t      testing.TB
	conn   net.Conn
	chunks *chunkReader
}

// shake connects and does the handshake.
func shake(t testing.TB, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return shakeOn(t, conn)
}

func shakeOn(t testing.TB, conn net.Conn) *peer {
	t.Helper()
	p := &peer{t: t, conn: conn, chunks: newChunkReader(bufio.NewReader(conn))}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	// As much as a client that does not look at the answer sends, at once; beside the reading, because a pipe in memory
	// holds nothing.
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(append([]byte{version}, make([]byte, 2*1536)...))
		sent <- err
	}()
	if _, err := p.chunks.r.Discard(1 + 2*1536); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatalf("handshake: %v", err)
	}
	p.chunks.allowMedia()
	return p
}

func (p *peer) send(bs ...[]byte) {
	p.t.Helper()
	if _, err := p.conn.Write(slices.Concat(bs...)); err != nil {
		p.t.Fatalf("sending: %v", err)
	}
}

// say sends a command in chunks of 128 bytes.
func (p *peer) say(stream uint32, values ...any) { p.t.Helper(); p.send(line(stream, values...)) }

func line(stream uint32, values ...any) []byte {
	return appendMessage(nil, 128, csCommand, 20, stream, 0, amf.Append(nil, values...), nil)
}

// hear returns the values of the next command or data message.
func (p *peer) hear() []any {
	p.t.Helper()
	for {
		m, err := p.chunks.next()
		if err != nil {
			p.t.Fatalf("waiting for a command: %v", err)
		}
		if m.typ != 20 && m.typ != 18 {
			continue
		}
		vs, err := amf.Read(m.body)
		if err != nil {
			p.t.Fatal(err)
		}
		return vs
	}
}

// code returns the code and description of the next onStatus.
func (p *peer) code() (code, description string) {
	p.t.Helper()
	for {
		vs := p.hear()
		if vs[0] == "onStatus" {
			o, _ := amf.AsObject(vs[3])
			return o.String("code"), o.String("description")
		}
	}
}

// ended reads to the end of the connection.
func (p *peer) ended() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.conn); errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("the connection was not closed: %v", err)
	}
}

// tag sends media in chunks of 128 bytes.
func (p *peer) tag(typ uint8, ts uint32, body []byte) {
	p.t.Helper()
	p.send(appendMessage(nil, 128, chunkStreamOf(typ), typ, mediaStream, ts, body, nil))
}

// publish does what OBS 30 does, in its order.
func (p *peer) publish(app, name string) {
	p.t.Helper()
	p.say(0, "connect", 1, amf.Object{{Key: "app", Value: app}, {Key: "type", Value: "nonprivate"}, {Key: "flashVer", Value: "FMLE/3.0 (compatible; FMSc/1.0)"}, {Key: "swfUrl", Value: "rtmp://node/" + app}, {Key: "tcUrl", Value: "rtmp://node/" + app}})
	p.send([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 128})
	p.say(0, "releaseStream", 2, nil, name)
	p.say(0, "FCPublish", 3, nil, name)
	p.say(0, "createStream", 4, nil)
	p.say(1, "publish", 5, nil, name, "live")
}

func TestObsPublishes(t *testing.T) {
	h := newHub("live/cam1")
	d := newRouter(h)
	s := serve(t, d)
	p := shake(t, s.addr)
	p.publish("live", "cam1?user=bob")

	var got []string
	for range 5 {
		vs := p.hear()
		switch vs[0] {
		case "onStatus":
			o, _ := amf.AsObject(vs[3])
			got = append(got, o.String("code"))
		default:
			got = append(got, vs[0].(string))
			if n := vs[1].(float64); n != float64(len(got)) {
				t.Errorf("%v answers transaction %v, want %d", vs[0], n, len(got))
			}
			if n, _ := at(vs, 3).(float64); len(got) == 4 && n != 1 {
				t.Errorf("createStream = %v, want 1", at(vs, 3))
			}
		}
	}
	if want := []string{"_result", "_result", "_result", "_result", "NetStream.Publish.Start"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("answers = %v, want %v", got, want)
	}
	if r := receive(t, d.asked, "request"); !reflect.DeepEqual(r.Streams, []string{"live/cam1", "cam1"}) || r.Query != "user=bob" ||
		r.Path != "/live/cam1" || r.Host != "node" || r.Protocol != protocols.RTMP || !strings.HasPrefix(r.Agent, "FMLE") || !r.Remote.IsValid() {
		t.Errorf("request = %+v", r)
	}

	meta := amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{{Key: "videocodecid", Value: 7.0}, {Key: "audiocodecid", Value: 10.0}})
	p.tag(18, 0, meta)
	p.tag(9, 0, avcHeader)
	p.tag(8, 0, aacHeader)
	p.tag(9, 0, idrBody)
	p.tag(8, 10, soundBody)
	p.send(appendMessage(nil, 128, 5, 99, 1, 0, []byte("newer than this"), nil)) // ignored
	p.tag(9, 40, sliceBody)
	h.wait(t, "three units", func() bool { return len(h.units) == 3 })
	if !h.Tracks().Equal(tracks) {
		t.Errorf("tracks = %+v", h.Tracks())
	}
	c := receive(t, s.conns, "connection")
	if st := c.Stats(); !st.Publisher || st.Stream != "live/cam1" || st.BytesIn < 3000 || st.BytesOut < 3000 {
		t.Errorf("Stats = %+v", st)
	}
	p.say(0, "FCUnpublish", 6, nil, "cam1")
	p.say(0, "deleteStream", 7, nil, 1)
	h.wait(t, "closing", func() bool { return h.closed })
	_ = p.conn.Close()
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v, want nil: the publisher left in order", err)
	}
}

func TestPublisherIsToldWhyItMayNot(t *testing.T) {
	for _, why := range []error{listen.ErrBusy, listen.ErrReserved, listen.ErrNotFound, listen.ErrDenied, listen.ErrUnavailable} {
		t.Run(why.Error(), func(t *testing.T) {
			d := newRouter(nil)
			d.refuse = why
			s := serve(t, d)
			p := shake(t, s.addr)
			p.publish("live", "cam1")
			code, description := p.code()
			if code != "NetStream.Publish.BadName" || !strings.Contains(description, why.Error()) {
				t.Errorf("status = %s, %q, want BadName with %q", code, description, why)
			}
			_ = p.conn.Close()
			if err := receive(t, s.ended, "the end"); !errors.Is(err, why) {
				t.Errorf("Serve = %v, want %v", err, why)
			}
		})
	}
	t.Run("no name", func(t *testing.T) {
		s := serve(t, newRouter(nil))
		p := shake(t, s.addr)
		p.publish("", "")
		if code, _ := p.code(); code != "NetStream.Publish.BadName" {
			t.Errorf("status = %s, want BadName", code)
		}
	})
}

func TestPublisherIsExpelled(t *testing.T) {
	kicked, outranked := errors.New("kicked by an operator"), fmt.Errorf("%w: at n2", listen.ErrBusy)
	for _, tt := range []struct {
		name string
		send func(*hub, *peer)
		code string
		want string // in the description
	}{
		{"by the stream", func(h *hub, p *peer) {
			h.change(func() { h.fail = kicked })
			p.tag(9, 0, avcHeader)
			p.tag(18, 0, pictures)
			p.tag(9, 0, idrBody)
		}, "NetStream.Publish.Failed", kicked.Error()},
		{"for another publisher of the name", func(h *hub, p *peer) {
			h.change(func() { h.fail = outranked })
			p.tag(9, 0, avcHeader)
			p.tag(18, 0, pictures)
			p.tag(9, 0, idrBody)
		}, "NetStream.Publish.BadName", outranked.Error()},
		{"for a codec that cannot be carried", func(_ *hub, p *peer) {
			for ts := uint32(0); ts < 600; ts += 40 {
				p.tag(9, ts, []byte{0x22, 1})
			}
		}, "NetStream.Publish.Failed", "Sorenson"},
		{"for nonsense", func(_ *hub, p *peer) {
			for range maxBadTags + 1 {
				p.tag(9, 0, []byte{0x17, 9, 0, 0, 0})
			}
		}, "NetStream.Publish.Failed", "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub("live/cam1")
			s := serve(t, newRouter(h))
			p := shake(t, s.addr)
			p.publish("live", "cam1")
			p.code()
			tt.send(h, p)
			code, description := p.code()
			if code != tt.code || !strings.Contains(description, tt.want) {
				t.Errorf("status = %s, %q, want %s with %q", code, description, tt.code, tt.want)
			}
			_ = p.conn.Close()
			if err := receive(t, s.ended, "the end"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Serve = %v, want %q", err, tt.want)
			}
			h.wait(t, "closing", func() bool { return h.closed })
		})
	}
}

func TestOldFlashPublishesWithAMF3AndAggregates(t *testing.T) {
	h := newHub("live/cam1")
	s := serve(t, newRouter(h))
	p := shake(t, s.addr)
	p.publish("live", "cam1")
	p.code()
	p.send(appendMessage(nil, 128, 5, 15, 1, 0, append([]byte{0}, amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid", Value: 7.0}})...), nil))
	p.tag(9, 1000, avcHeader)
	var all []byte
	for i, b := range [][]byte{idrBody, sliceBody} {
		all = flv.AppendTag(all, flv.Tag{Type: 9, Timestamp: uint32(77 + 40*i), Body: b})
	}
	p.send(appendMessage(nil, 128, csVideo, 22, 1, 1000, all, nil))
	p.send(appendMessage(nil, 128, csCommand, 17, 1, 0, append([]byte{0}, amf.Append(nil, "closeStream", 0, nil)...), nil))
	if code, _ := p.code(); code != "NetStream.Unpublish.Success" {
		t.Errorf("status = %s, want that it is unpublished", code)
	}
	_ = p.conn.Close()
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if len(h.units) != 2 || h.units[0].DTS != 0 || h.units[1].DTS != 3600 || !h.closed {
		t.Errorf("units = %+v, want two, 40 ms apart", h.units)
	}
}

func TestGarbageIsClosedWithOneDebugLine(t *testing.T) {
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00", "\x00\xff"} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		here, there := net.Pipe()
		ended := make(chan error)
		go func() { ended <- newConn(here, log).Serve(t.Context(), newRouter(nil)) }()
		_, _ = there.Write([]byte(garbage))
		if err := receive(t, ended, "the end"); !errors.Is(err, errProtocol) {
			t.Errorf("Serve of %q = %v, want %v", garbage, err, errProtocol)
		}
		if _, err := there.Read(make([]byte, 1)); err == nil {
			t.Errorf("after %q something was answered", garbage)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=DEBUG") {
			t.Errorf("log of %q = %q, want one debug line", garbage, out.String())
		}
	}
}

func TestSilentClientsAreDropped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		do    func(*peer)
		shake bool
	}{
		{name: "before the handshake", after: 15 * time.Second},
		{name: "before connect", after: 15 * time.Second, shake: true, do: func(*peer) {}},
		{name: "pinging before publish or play", after: 15 * time.Second, shake: true, do: func(p *peer) {
			for range 100 {
				if _, err := p.conn.Write(line(0, "_checkbw", 0, nil)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
		{name: "a publisher", after: 30 * time.Second, shake: true, do: func(p *peer) { p.publish("live", "cam1") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				ended := make(chan error)
				start := time.Now()
				c := newConn(here, slog.New(slog.DiscardHandler))
				go func() { ended <- c.Serve(t.Context(), newRouter(newHub("x"))) }()
				var doing sync.WaitGroup
				if tt.shake {
					p := shakeOn(t, there)
					doing.Go(func() { _, _ = io.Copy(io.Discard, there) })
					doing.Go(func() { tt.do(p) })
				}
				if err := <-ended; err == nil {
					t.Error("Serve = nil, want that the client was silent")
				}
				if got := time.Since(start); got != tt.after { // of the bubble's clock
					t.Errorf("dropped after %v, want %v", got, tt.after)
				}
				_ = there.Close()
				doing.Wait()
			})
		})
	}
}

func TestBombsOverTheWireCostTheirSenderTheConnection(t *testing.T) {
	nested := bytes.Repeat([]byte{3, 0, 1, 'a'}, maxCommand/4)
	quiet := map[string][]byte{
		"nested object":         appendMessage(nil, 128, csCommand, 20, 0, 0, nested[:maxCommand-100], nil),
		"array of 2^31-1":       appendMessage(nil, 128, csCommand, 20, 0, 0, append(amf.Append(nil, "connect", 1), 0x0a, 0x7f, 0xff, 0xff, 0xff), nil),
		"announced command":     {3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0},
		"announced video":       {6, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0},
		"command without words": line(0, 1, 2),
	}
	for name, bomb := range quiet {
		t.Run(name, func(t *testing.T) {
			s := serve(t, newRouter(newHub("x")))
			p := shake(t, s.addr)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p.send(bomb)
			if err := receive(t, s.ended, "the end"); err == nil {
				t.Error("Serve = nil, want an error")
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
				t.Errorf("%d bytes were allocated, want at most 2 MB", got)
			}
			p.ended()
		})
	}
	t.Run("nested metadata of a publisher is skipped", func(t *testing.T) {
		h := newHub("x")
		s := serve(t, newRouter(h))
		p := shake(t, s.addr)
		p.publish("live", "x")
		p.code()
		p.tag(18, 0, append(amf.Append(nil, "onMetaData"), bytes.Repeat([]byte{3, 0, 1, 'a'}, maxData/8)...))
		p.tag(9, 0, avcHeader)
		p.tag(18, 0, pictures)
		p.tag(9, 0, idrBody)
		h.wait(t, "the picture after it", func() bool { return len(h.units) == 1 })
	})
}

func TestAcknowledgementsAreSentWhenDue(t *testing.T) {
	h := newHub("x")
	s := serve(t, newRouter(h))
	p := shake(t, s.addr)
	p.publish("live", "x")
	p.send(appendControl(nil, 5, 20000))
	p.code()
	big := append(bytes.Clone(idrBody[:5]), make([]byte, 30000)...)
	p.tag(9, 0, avcHeader)
	p.tag(9, 0, big)
	for {
		m, err := p.chunks.next()
		if err != nil {
			t.Fatal(err)
		}
		if m.typ == 3 {
			if n := uint24(m.body[1:]); n < 30000 || m.body[0] != 0 {
				t.Errorf("acknowledged %d bytes, want more than 30000", n)
			}
			return
		}
	}
}

func TestAcknowledgementsAreSentOnlyWhenDue(t *testing.T) {
	var c control
	c.begin(bytes.NewReader(nil))
	c.window = 20000
	acks := 0
	for in := uint64(5000); in <= 60000; in += 5000 {
		c.in.Store(in)
		if _, err := c.obey(packet{typ: 9}, func([]byte) error { acks++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if acks != 3 {
		t.Errorf("60000 bytes were acknowledged %d times, want 3: once for each window of 20000", acks)
	}
}

func TestMalformedTagsAreCountedInARow(t *testing.T) {
	h := newHub("x")
	s := serve(t, newRouter(h))
	p := shake(t, s.addr)
	p.publish("live", "x")
	p.code()
	p.tag(9, 0, avcHeader)
	p.tag(18, 0, pictures)
	for n := range 3 {
		for range maxBadTags {
			p.tag(9, 0, []byte{0x17, 9, 0, 0, 0})
		}
		p.tag(9, uint32(n)*40, idrBody)
		h.wait(t, "the picture behind malformed tags", func() bool { return len(h.units) == n+1 })
	}
}

func TestNameIsFreeOnceThePublisherSaysThatItHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		h := newHub("x")
		s := &session{t: t, c: newConn(near, slog.New(slog.DiscardHandler)), d: newRouter(h)}
		s.start()
		p := shakeOn(t, far)
		go p.publish("live", "x") // beside the reading, because a pipe in memory holds nothing
		p.code()
		go p.say(0, "FCUnpublish", 6, nil, "x")
		synctest.Wait()
		h.change(func() {
			if !h.closed {
				t.Error("the publisher has said that it has ended, and its name is not free")
			}
		})
		_ = far.Close()
		<-s.ended
	})
}

func TestReadDeadlineDoesNotOutlastTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := newConn(near, slog.New(slog.DiscardHandler))
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		c.until(ctx, began.Add(time.Hour))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 0 {
			t.Errorf("Read = %v after %v, want that its deadline has passed", err, time.Since(began))
		}
	})
}

func TestPingsAreAnswered(t *testing.T) {
	s := serve(t, newRouter(newHub("x")))
	p := shake(t, s.addr)
	p.send(event(nil, eventPing, 77))
	m, err := p.chunks.next()
	if err != nil || m.typ != 4 || !bytes.Equal(m.body, []byte{0, 7, 0, 0, 0, 77}) {
		t.Errorf("answer to a ping = %+v, %v", m, err)
	}
}
