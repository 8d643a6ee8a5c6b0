package rtmp

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"weir/codecs/flv/amf"
)

// FuzzClient lets the client connect to, play from and publish to a server that says anything behind the handshake.
func FuzzClient(f *testing.F) {
	hello := slices.Concat(connected(1, connect{}), say(nil, csCommand, 0, "_result", 2, nil, 1.0))
	f.Add(slices.Concat(hello, playPrologue("x"), appendMessage(nil, chunkSize, csVideo, 9, 1, 0, avcHeader, nil)))
	f.Add(slices.Concat(hello, connect{}.redirect(nil, "rtmp://127.0.0.1/live/x")))
	f.Add(slices.Concat(hello, status(nil, "error", "NetStream.Publish.BadName", "taken")))
	f.Add(say(nil, csCommand, 0, "_error", 1, nil, amf.Object{{Key: "level", Value: "error"}, {Key: "ex", Value: amf.Object{{Key: "redirect", Value: "rtmp://h/a"}}}}))
	f.Add([]byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, says []byte) {
		for _, publish := range []bool{false, true} {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				_, _ = io.CopyN(io.Discard, far, 1+1536)
				if _, err := far.Write(append([]byte{version}, make([]byte, 2*1536)...)); err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, far) }()
				_, _ = far.Write(says)
			}()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer near.Close()
				c, err := Dial(context.Background(), "rtmp://h/live/x", ClientConfig{
					Timeout: time.Second, DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
				})
				if err != nil {
					return
				}
				if publish {
					if c.Publish() == nil {
						_ = c.Drain()
					}
					return
				}
				for err = c.Play(); err == nil; {
					_, err = c.ReadTag()
				}
			}()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the client does not end with its connection")
			}
		}
	})
}
