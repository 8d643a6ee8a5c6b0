package hls

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"weir/codecs/ffmpegtest"
	"weir/protocols/cmaf"
)

// run starts a tool, waits for it and returns what it printed. Whatever it complains about is an error.
func run(t *testing.T, path string, arguments ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-hide_banner", "-v", "error"}, arguments...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, complaints.String())
	}
	if complaints.Len() > 0 {
		t.Errorf("%s complains:\n%s", cmd, complaints.String())
	}
	return out.String()
}

// growing serves the test pattern, so many segments more with each reload, so that a player waits for none.
func growing(t *testing.T, by int64) *node {
	t.Helper()
	n := newNode(t, patient, Deps{})
	store := stored(t, noon)
	n.serve(store)
	next := int64(noon)
	n.before(func(path string) {
		if strings.HasSuffix(path, "/ts.m3u8") || strings.HasSuffix(path, "/cmaf.m3u8") {
			n.router.mu.Lock()
			defer n.router.mu.Unlock()
			for range by {
				next++
				pack(t, store, next)
			}
		}
	})
	return n
}

func TestFFmpegPlaysBothForms(t *testing.T) {
	t.Parallel()
	ffmpeg, ffprobe := ffmpegtest.Path(t, "ffmpeg"), ffmpegtest.Path(t, "ffprobe")
	for _, index := range []string{"index.m3u8", "index.fmp4.m3u8"} {
		for _, through := range []string{"owner", "playlist", "relay"} {
			t.Run(index+" through "+through, func(t *testing.T) {
				t.Parallel() // a player waits most of the time
				n := growing(t, 2)
				switch o := n; through {
				case "playlist":
					n = newNode(t, patient, Deps{})
					n.proxy(o.http.URL, o.http.URL)
				case "relay":
					n = newNode(t, patient, Deps{})
					n.proxy(o.http.URL, "")
				}
				url := n.http.URL + "/cam/" + index
				if got, want := run(t, ffprobe, "-show_entries", "stream=codec_name", "-of", "csv=p=0", url), "h264\naac\n"; !strings.HasPrefix(strings.ReplaceAll(got, "\n\n", "\n"), want) {
					t.Errorf("ffprobe says %q, want %q", got, want)
				}
				// Every access unit of seven segments is decoded, once, in order.
				out := run(t, ffmpeg, "-live_start_index", "0", "-i", url, "-t", "28", "-f", "framecrc", "-")
				video, audio := 0, 0
				for line := range strings.Lines(out) {
					switch {
					case strings.HasPrefix(line, "0,"):
						video++
					case strings.HasPrefix(line, "1,"):
						audio++
					}
				}
				if video != 700 || audio < 1310 || audio > 1315 {
					t.Errorf("%d pictures and %d audio frames were decoded, want 700 and 1313", video, audio)
				}
			})
		}
	}
}

func TestFFmpegPlaysOnWhenTheOwnerChanges(t *testing.T) {
	t.Parallel()
	ffmpeg := ffmpegtest.Path(t, "ffmpeg")
	o := growing(t, 1)
	n := newNode(t, Config{silence: quick.silence}, Deps{})
	n.proxy(o.http.URL, "")
	local := cmaf.NewStore(cmaf.Config{})
	var reloads atomic.Int64
	n.before(func(path string) {
		if !strings.HasSuffix(path, "/ts.m3u8") {
			return
		}
		switch i := reloads.Add(1); i {
		case 2:
			n.proxy(deadNode, "") // the owner is gone
		case 3:
			n.serve(pack(t, local, o.router.store.Window().Last()+2)) // this node has taken over
		default:
			if i > 3 {
				pack(t, local, local.Window().Last()+2)
			}
		}
	})
	out := run(t, ffmpeg, "-live_start_index", "0", "-i", n.http.URL+"/cam/index.m3u8", "-t", "32", "-map", "0:v", "-f", "framecrc", "-")
	last, count := int64(-1), 0
	for line := range strings.Lines(out) {
		var dts int64
		if _, err := fmt.Sscanf(line, "0, %d,", &dts); err == nil {
			if count > 0 && dts != last+1 {
				t.Errorf("picture %d follows %d", dts, last)
			}
			last, count = dts, count+1
		}
	}
	if count != 800 || reloads.Load() < 4 {
		t.Errorf("%d pictures in %d reloads, want 800 and at least 4", count, reloads.Load())
	}
}

func TestTwoNodesServeTheSameBytes(t *testing.T) {
	a, b := newNode(t, patient, Deps{}), newNode(t, patient, Deps{})
	early := stored(t, noon-8)
	for n := int64(noon - 7); n <= noon; n++ {
		pack(t, early, n)
	}
	a.serve(early)
	b.serve(stored(t, noon))
	for _, name := range []string{"ts.m3u8", "cmaf.m3u8"} {
		list := a.get(t, name).is(t, 200)
		if other := b.get(t, name).is(t, 200); other.body != list.body {
			t.Errorf("%s differs:\n%s\n%s", name, list.body, other.body)
		}
		for _, uri := range list.uris() {
			if x, y := a.get(t, uri).is(t, 200), b.get(t, uri).is(t, 200); x.body != y.body || len(x.body) == 0 {
				t.Errorf("%s differs, or is empty", uri)
			}
		}
	}
}
