//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// probe reads what ffprobe finds at a URL: the codecs, sorted.
func probe(ctx context.Context, url string, options ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := append([]string{"-v", "error", "-show_streams", "-of", "json"}, options...)
	cmd := exec.CommandContext(ctx, "ffprobe", append(args, url)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ffprobe %s: %w: %s", url, err, complaints.String())
	}
	var found struct {
		Streams []struct {
			Codec string `json:"codec_name"`
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	var codecs []string
	for _, s := range found.Streams {
		codecs = append(codecs, s.Codec)
	}
	slices.Sort(codecs)
	return slices.Compact(codecs), nil
}

// A player is an ffmpeg that reads a URL and writes down the timestamp of each packet that it gets.
type player struct {
	url    string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	packets [][]packet // by stream index
	log     strings.Builder
	ended   bool
}

type packet struct {
	dts int64 // in the time base of its stream
	at  time.Time
}

// play starts an ffmpeg on a URL.
func play(t *testing.T, url string, options ...string) *player {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	args := append([]string{"-hide_banner", "-nostdin", "-loglevel", "warning"}, options...)
	args = append(args, "-i", url, "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", "-copyts", "-f", "framecrc", "-flush_packets", "1", "-")
	p := &player{url: url, cancel: cancel, done: make(chan struct{}), packets: make([][]packet, 2)}
	p.cmd = exec.CommandContext(ctx, "ffmpeg", args...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &locked{p}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("ffmpeg %s said, at last:\n%s", url, tail(strings.Split(strings.TrimSpace(p.said()), "\n"), playerLines))
		}
	})
	return p
}

// locked writes to a player's log.
type locked struct{ p *player }

func (l *locked) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.p.log.Write(b)
}

func (p *player) read(out io.Reader) {
	defer close(p.done)
	s := bufio.NewScanner(out)
	for s.Scan() {
		fields := strings.Split(s.Text(), ",")
		if strings.HasPrefix(s.Text(), "#") || len(fields) < 3 {
			continue
		}
		index, err1 := strconv.Atoi(strings.TrimSpace(fields[0]))
		dts, err2 := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 64)
		if err1 != nil || err2 != nil || index < 0 || index > 1 {
			continue
		}
		p.mu.Lock()
		p.packets[index] = append(p.packets[index], packet{dts, time.Now()})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
}

func (p *player) stop() {
	p.cancel()
	<-p.done
}

func (p *player) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// video returns the DTS of the video packets so far.
func (p *player) video() (dts []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.packets[0] {
		dts = append(dts, k.dts)
	}
	return dts
}

// plays fails unless the player gets at least so many more video packets within limit.
func (p *player) plays(t *testing.T, limit time.Duration, packets int) {
	t.Helper()
	before := len(p.video())
	eventually(t, limit, fmt.Sprintf("%d packets more of %s", packets, p.url), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ended {
			return fmt.Errorf("ffmpeg has ended: %s", tail(strings.Split(strings.TrimSpace(p.log.String()), "\n"), playerLines))
		}
		if got := len(p.packets[0]) - before; got < packets {
			return fmt.Errorf("%d packets", got)
		}
		return nil
	})
}

// forward fails if a video timestamp does not follow the one before; it returns the number of places where packets are
// missing, of which each is one video packet of step.
func (p *player) forward(t *testing.T, step int64) (missing int64) {
	t.Helper()
	dts := p.video()
	for i := 1; i < len(dts); i++ {
		switch d := dts[i] - dts[i-1]; {
		case d <= 0:
			t.Errorf("%s: packet %d has DTS %d after %d", p.url, i, dts[i], dts[i-1])
		case d > step+step/2:
			missing += (d+step/2)/step - 1
		}
	}
	return missing
}
