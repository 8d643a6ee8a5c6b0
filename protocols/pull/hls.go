package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/elementary"
	"weir/codecs/reception"
	"weir/codecs/timeline"
	"weir/protocols/pull/m3u8"
)

// HLS reads the playlist at an http or https URL (RFC 8216), multivariant or not, and writes what it lists, at the pace of its
// timestamps, until it ends, and says why it did; the error is never nil. Of several variants it takes the one with the greatest
// bandwidth that it can carry, that the server has, and that the link bears. Timestamps are those of the media, without jumps and wraps.
//
// The failure of a segment, a key or a playlist ends nothing: it is reported as [reception.Unavailable], and the server is asked again.
// A segment that does not come while the playlist lists it is skipped. What cannot be had or read at the start is an error, unless
// another variant can.
//
// The reader is weir's own because that of the libraries ends with the first segment that fails, and takes no part in
// decryption, in the choice of a variant, or in what a server's cookies and headers are.
func HLS(ctx context.Context, rawURL string, o Options, out codecs.Writer) error {
	o = o.complete()
	u, err := url.Parse(rawURL)
	if err != nil {
		return redacted(err)
	}
	o.Silence = min(o.Silence, o.Connect) // files do not wait for an encoder
	client, end := o.client(o.Connect, u)
	defer end()
	p := &presentation{
		url: u, out: newPacer(), choice: choice{failed: map[string]time.Time{}}, playing: map[string]*medium{},
		fetcher: fetcher{o: o, client: client},
	}
	var rim sync.Mutex // the writer and the report are called by one goroutine at a time
	report := &guardedReport{mu: &rim, to: o.Report}
	p.shared = shared{
		report: report, left: map[*medium][]reception.LeftOut{}, failing: map[*medium]string{},
		joiner: elementary.NewTimed(p.out, timeline.Config{Wrap: wrapTS, Report: report}),
	}
	defer p.shared.stop()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var paced sync.WaitGroup
	var refused error
	paced.Go(func() {
		if refused = p.out.run(inner, &guardedWriter{mu: &rim, to: out}); refused != nil {
			cancel()
		}
	})
	if err = p.play(inner); errors.Is(err, ErrEnded) {
		p.out.finish()
	} else {
		cancel()
	}
	paced.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case refused != nil && !errors.Is(refused, context.Canceled):
		return refused
	}
	return err
}

// A guardedReport and a guardedWriter share a mutex.
type guardedReport struct {
	mu *sync.Mutex
	to reception.Report
}

// LeaveOut implements [reception.Report].
func (r *guardedReport) LeaveOut(tracks []reception.LeftOut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to.LeaveOut(tracks)
}

// Meet implements [reception.Report].
func (r *guardedReport) Meet(c reception.Condition, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to.Meet(c, reason)
}

// Count implements [reception.Report].
func (r *guardedReport) Count(c reception.Counter, n int, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to.Count(c, n, why)
}

type guardedWriter struct {
	mu *sync.Mutex
	to codecs.Writer
}

// SetTracks implements [codecs.Writer].
func (w *guardedWriter) SetTracks(t codecs.Tracks) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to.SetTracks(t)
}

// Write implements [codecs.Writer].
func (w *guardedWriter) Write(au *codecs.AccessUnit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(au)
}

// A presentation is what the URL of an HLS input leads to.
type presentation struct {
	url     *url.URL
	fetcher fetcher
	out     *pacer
	shared  shared
	choice  choice
	playing map[string]*medium // by name
	wait    backOff
}

// play plays the presentation until it ends, or until nothing of it can be played.
func (p *presentation) play(ctx context.Context) error {
	played := false
	for {
		began, err := p.once(ctx)
		if began {
			played = true
			p.wait.reset()
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errChange):
			continue
		case errors.Is(err, ErrEnded), !played && !errors.Is(err, errAgain):
			return err
		}
		p.shared.report.Meet(reception.Unavailable, err.Error())
		if err := sleep(ctx, p.wait.next()); err != nil {
			return err
		}
	}
}

var (
	// errAgain says that a variant failed, and that the presentation is to be looked at again.
	errAgain = errors.New("it is looked for again")

	// errHopeless says that looking again would not help.
	errHopeless = errors.New("it cannot be played")
)

// once reads the playlist of the presentation, chooses a variant and plays it. Began says whether media came.
func (p *presentation) once(ctx context.Context) (began bool, err error) {
	list, base, err := p.fetcher.playlist(ctx, p.url)
	if err != nil {
		return false, err
	}
	if len(list.Variants) == 0 {
		p.choice.begin(m3u8.Variant{}, nil, time.Now())
		return p.playMedia(ctx, p.url, list, base, nil)
	}
	var errs []error
	for _, v := range p.choice.order(list, time.Now()) {
		u, err := base.Parse(v.URI)
		if err != nil {
			errs = append(errs, redacted(err))
			continue
		}
		var sound *url.URL
		if r, ok := list.Sound(&v); ok {
			if sound, err = base.Parse(r.URI); err != nil {
				errs = append(errs, redacted(err))
				sound = nil
			}
		}
		p.choice.begin(v, list.Variants, time.Now())
		began, err := p.playMedia(ctx, u, nil, nil, sound)
		switch {
		case errors.Is(err, ErrEnded), errors.Is(err, errChange), ctx.Err() != nil:
			return began, err
		case began:
			if !expired(err) {
				p.choice.failed[v.URI] = time.Now()
			}
			return began, err
		}
		p.choice.failed[v.URI] = time.Now()
		errs = append(errs, fmt.Errorf("variant of %d bit/s: %w", v.Bandwidth, err))
	}
	return false, errors.Join(errs...)
}

// playMedia plays a media playlist, which is list if that is not nil, and that of its sound.
func (p *presentation) playMedia(ctx context.Context, u *url.URL, list *m3u8.Playlist, base, sound *url.URL) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	main := p.medium("", u, wanted{video: true, audio: sound == nil})
	defer func() {
		if errors.Is(err, ErrEnded) {
			err = cmp.Or(p.flush(), err)
		}
	}()
	if sound == nil {
		if s := p.playing["sound"]; s != nil {
			s.end()
			delete(p.playing, "sound")
		}
		if err := p.begin(main); err != nil {
			return false, err
		}
		return main.run(ctx, list, base)
	}
	s := p.medium("sound", sound, wanted{audio: true})
	if err := p.begin(main, s); err != nil {
		return false, err
	}
	done := make(chan struct{})
	others.Go(func() {
		defer close(done)
		s.keepOn(ctx)
	})
	began, err = main.run(ctx, list, base)
	if errors.Is(err, ErrEnded) {
		select { // for the end of the sound
		case <-done:
		case <-ctx.Done():
		case <-time.After(p.out.buffered(false) + lead): // it is fetched while there is room
		}
	}
	return began, err
}

// begin says which media are played from now on.
func (p *presentation) begin(media ...*medium) error {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	return p.shared.play(media...)
}

// flush says that nothing follows.
func (p *presentation) flush() error {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	return cmp.Or(p.shared.play(), p.shared.joiner.Flush())
}

// medium returns the reader of a playlist. One of the same name that was played before gives its place to it, and the new one goes
// on where that one was.
func (p *presentation) medium(name string, u *url.URL, takes wanted) *medium {
	before := p.playing[name]
	if before != nil && withoutQuery(before.url) == withoutQuery(u) && before.takes == takes {
		before.url = u // with another token
		return before
	}
	m := &medium{
		name: name, url: u, takes: takes, program: p.fetcher.o.Program, shared: &p.shared, out: p.out,
		fetcher: fetcher{o: p.fetcher.o, client: p.fetcher.client, keys: map[string][]byte{}},
	}
	if takes.video {
		m.choice = &p.choice
	}
	if before != nil {
		m.follower, m.broken, m.joined = before.follower, true, before.joined
		before.end()
	}
	p.playing[name] = m
	return m
}

func withoutQuery(u *url.URL) string {
	c := *u
	c.RawQuery = ""
	return c.String()
}
