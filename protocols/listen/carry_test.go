package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A script is a feed of prepared batches; it waits after the last one unless it ends.
type script struct {
	batches [][][]byte
	ends    bool
}

func (s *script) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if len(s.batches) == 0 {
		if s.ends {
			return bufs, io.EOF
		}
		<-ctx.Done()
		return bufs, ctx.Err()
	}
	bufs = append(bufs, s.batches[0]...)
	s.batches = s.batches[1:]
	return bufs, nil
}

func (*script) Dropped() uint64 { return 0 }
func (*script) Close()          {}

// gatheringPipe is a pipe that takes the gathering way, which pipes of net do not.
type gatheringPipe struct{ net.Conn }

func (p gatheringPipe) Gathers() bool { return true }

func (p gatheringPipe) WriteBuffers(v *net.Buffers) (int64, error) { return v.WriteTo(p.Conn) }

func socketPair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func TestCarrySendsEveryByteInOrderAndReturnsNilAtTheEnd(t *testing.T) {
	big := bytes.Repeat([]byte{'b'}, 40<<10)
	batches := [][][]byte{{[]byte("head"), []byte("one")}, {}, {big, []byte("two"), nil, []byte("three")}}
	var want []byte
	for _, batch := range batches {
		for _, b := range batch {
			want = append(want, b...)
		}
	}
	for _, c := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{
		{"socket", func(c net.Conn) net.Conn { return c }},
		{"counted socket", func(c net.Conn) net.Conn { return &Conn{Conn: c} }},
		{"wrapped connection that does not gather", func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := socketPair(t)
			got := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(client)
				got <- b
			}()
			var sent atomic.Uint64
			feed := &script{batches: append([][][]byte(nil), batches...), ends: true}
			if err := Carry(t.Context(), c.wrap(server), feed, &sent); err != nil {
				t.Errorf("Carry = %v, want nil", err)
			}
			server.Close()
			if b := <-got; !bytes.Equal(b, want) {
				t.Errorf("received %d bytes that differ from the %d sent", len(b), len(want))
			}
			if sent.Load() != uint64(len(want)) {
				t.Errorf("sent = %d, want %d", sent.Load(), len(want))
			}
		})
	}
}

func TestSecondCarryGoesOnAfterTheFirstWasCancelledWhileWaiting(t *testing.T) {
	server, client := socketPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Carry(ctx, server, &script{batches: [][][]byte{{[]byte("one")}}}, nil) }()
	if b := make([]byte, 3); true {
		if _, err := io.ReadFull(client, b); err != nil || string(b) != "one" {
			t.Fatalf("read %q, %v", b, err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || errors.Is(err, ErrCut) {
		t.Fatalf("cancelled Carry = %v, want context.Canceled that is not ErrCut", err)
	}
	if err := Carry(t.Context(), server, &script{batches: [][][]byte{{[]byte("two")}}, ends: true}, nil); err != nil {
		t.Fatalf("second Carry = %v", err)
	}
	server.Close()
	if b, err := io.ReadAll(client); err != nil || string(b) != "two" {
		t.Errorf("after the restart the client read %q, %v; want \"two\"", b, err)
	}
}

func TestCancelCutsAWriteThatTheClientDoesNotTake(t *testing.T) {
	server, _ := socketPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	var sent atomic.Uint64
	ended := make(chan error)
	huge := make([]byte, 64<<20) // more than any socket buffer
	go func() { ended <- Carry(ctx, server, &script{batches: [][][]byte{{huge}}}, &sent) }()
	cancel()
	if err := <-ended; !errors.Is(err, ErrCut) && !errors.Is(err, context.Canceled) {
		t.Errorf("Carry = %v, want an error", err)
	} else if sent.Load() > 0 && !errors.Is(err, ErrCut) {
		t.Errorf("Carry = %v after part of a message was sent, want ErrCut", err)
	}
}

func TestClientThatTakesNothingIsGivenUpAndASlowOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		ended := make(chan error, 1)
		var sent atomic.Uint64
		payload := make([]byte, 1000)
		go func() {
			ended <- Carry(t.Context(), gatheringPipe{server}, &script{batches: [][][]byte{{payload, payload}}}, &sent)
		}()
		for range 5 { // far longer than one deadline in all
			time.Sleep(WriteDeadline * 8 / 10)
			if _, err := io.ReadFull(client, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("a slow client was given up: %v", err)
		default:
		}
		start := time.Now()
		if err := <-ended; !errors.Is(err, ErrCut) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Carry to a client that takes nothing = %v, want ErrCut and a deadline", err)
		}
		if took := time.Since(start); took > 2*WriteDeadline {
			t.Errorf("given up after %v, want at most %v", took, 2*WriteDeadline)
		}
	})
}

// writeSizes remembers how large the writes of a connection were.
type writeSizes struct {
	net.Conn
	sizes []int
}

func (w *writeSizes) Write(b []byte) (int, error) {
	w.sizes = append(w.sizes, len(b))
	return w.Conn.Write(b)
}

func TestSmallSlicesShareTLSRecords(t *testing.T) {
	server, client := socketPair(t)
	sizes := &writeSizes{Conn: server}
	secure := tls.Server(sizes, serverConfig(t))
	peer := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	read := make(chan int)
	go func() {
		b, _ := io.ReadAll(peer)
		read <- len(b)
	}()
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	sizes.sizes = nil
	batch := make([][]byte, 256)
	for i := range batch {
		batch[i] = make([]byte, 188)
	}
	if err := Carry(t.Context(), secure, &script{batches: [][][]byte{batch}, ends: true}, nil); err != nil {
		t.Fatal(err)
	}
	if want := 3; len(sizes.sizes) != want { // 256 × 188 = 48,128 bytes in records of 16,384
		t.Errorf("TLS wrote %d times (%v), want %d", len(sizes.sizes), sizes.sizes, want)
	}
	secure.Close()
	if n := <-read; n != 256*188 {
		t.Errorf("the client read %d bytes, want %d", n, 256*188)
	}
}

func TestCarryAllocatesNothingPerBatch(t *testing.T) {
	server, client := socketPair(t)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	for _, conn := range []net.Conn{server, &Conn{Conn: server}} {
		c := carrier{ctx: t.Context(), conn: conn, gathers: true}
		c.writer, _ = conn.(BuffersWriter)
		media := make([]byte, 1000)
		bufs := make([][]byte, 0, 16)
		got := testing.AllocsPerRun(200, func() {
			bufs = append(bufs[:0], media, media, media)
			if err := c.write(bufs); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("%T: %v allocations per batch, want 0", conn, got)
		}
	}
}

// BenchmarkCarry sends batches as the hub makes them at its default tick: about 3 access units, 5 KB.
// Budget: 0 allocations.
func BenchmarkCarry(b *testing.B) {
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	c := carrier{ctx: b.Context(), conn: server, gathers: true}
	media := make([]byte, 1700)
	bufs := make([][]byte, 0, 16)
	b.SetBytes(3 * 1700)
	b.ReportAllocs()
	for b.Loop() {
		bufs = append(bufs[:0], media, media, media)
		if err := c.write(bufs); err != nil {
			b.Fatal(err)
		}
	}
}

// lockedConn is a connection onto which others may write whole messages too.
type lockedConn struct {
	*net.TCPConn
	sync.Mutex
}

func TestOthersWriteBetweenBatchesOnly(t *testing.T) {
	server, client := socketPair(t)
	conn := &lockedConn{TCPConn: server.(*net.TCPConn)}
	batch := [][]byte{bytes.Repeat([]byte{'a'}, 1<<20), bytes.Repeat([]byte{'b'}, 1<<20)}
	feed := &script{batches: [][][]byte{batch, batch, batch}, ends: true}
	carried := make(chan error, 1)
	go func() { carried <- Carry(t.Context(), conn, feed, nil) }()
	other := make(chan error, 1)
	go func() {
		conn.Lock()
		defer conn.Unlock()
		_, err := conn.Write([]byte("c"))
		other <- err
	}()
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(client)
		got <- b
	}()
	if err := <-carried; err != nil {
		t.Errorf("Carry = %v", err)
	}
	if err := <-other; err != nil {
		t.Errorf("Write = %v", err)
	}
	server.Close()
	b := <-got
	if i := bytes.IndexByte(b, 'c'); len(b) != 6<<20+1 || i%(2<<20) != 0 {
		t.Errorf("the other message is at byte %d of %d, want it between batches of %d", i, len(b), 2<<20)
	}
}
