package reception

import (
	"fmt"

	"weir/codecs"
)

// A Judge says how an input is, by what its source tells and by what arrives. Instants are ticks of a clock that goes forward. It
// belongs to one goroutine at a time. The zero Judge has seen nothing.
type Judge struct {
	Record
	Units, Bytes uint64 // of media that has arrived

	tracks  codecs.Tracks
	arrived []arrival // by track
	began   bool
	base    int64 // the instant at which the first unit was due; moved when the input stays behind it
	first   int64 // its DTS
	last    int64 // the instant of the last unit
	newest  int64 // the latest DTS

	jitter int64               // as in RFC 3550, 6.4.1, of the video or, without video, of the sound
	until  map[Condition]int64 // up to when a condition lasts that is an event
}

// An arrival is what has come of one track.
type arrival struct {
	begun    bool
	dts      int64 // of the last unit
	at       int64 // the instant of the last unit
	interval int64 // usual distance of units

	points  int   // random access points
	point   int64 // DTS of the last one
	longest int64 // distance of two of them
}

// Limits, in ticks.
const (
	noMedia    = 3 * codecs.ClockRate  // beyond what the media that has come lasts
	noPicture  = 3 * codecs.ClockRate  // of sound without a picture
	silent     = 5 * codecs.ClockRate  // of pictures without sound
	noKey      = 10 * codecs.ClockRate // at least, and three times the longest GOP
	gap        = codecs.ClockRate      // at least, and four times the usual distance
	late       = codecs.ClockRate / 2
	maxEarly   = 20 * codecs.ClockRate // media further ahead of its time says nothing about what is to come
	afterwards = 10 * codecs.ClockRate // for how long an event is shown
)

// Begin says that the source starts anew. Counts go on.
func (j *Judge) Begin() {
	*j = Judge{Record: Record{Counts: j.Counts, Whys: j.Whys}, Units: j.Units, Bytes: j.Bytes}
}

// SetTracks says which tracks the media that follows has.
func (j *Judge) SetTracks(tracks codecs.Tracks) {
	before := j.arrived
	j.arrived = make([]arrival, len(tracks))
	for i, t := range tracks {
		for k := range j.tracks {
			if j.tracks[k].Codec.Video() == t.Codec.Video() && k < len(before) {
				j.arrived[i] = before[k]
			}
		}
	}
	j.tracks = tracks
}

// Count adds to a counter at an instant. What is lost is a condition for a while.
func (j *Judge) Count(now int64, c Counter, n int, why error) {
	j.Record.Count(c, n, why)
	if n > 0 && (c == ContinuityErrors || c == LostSegments) {
		j.event(now, Continuity)
	}
}

func (j *Judge) event(now int64, c Condition) {
	if j.until == nil {
		j.until = map[Condition]int64{}
	}
	j.until[c] = now + afterwards
}

// Unit takes an access unit that arrives now.
func (j *Judge) Unit(now int64, au *codecs.AccessUnit) {
	if au.Track < 0 || au.Track >= len(j.arrived) {
		return
	}
	j.Units++
	j.Bytes += uint64(len(au.Payload))
	if !j.began {
		j.began, j.base, j.first, j.newest = true, now, au.DTS, au.DTS
	}
	a := &j.arrived[au.Track]
	leads := j.leads(au.Track)
	if a.begun {
		j.pace(a, now, au, leads)
	}
	if au.RandomAccess && leads {
		if a.points++; a.points > 1 {
			a.longest = max(a.longest, au.DTS-a.point)
		}
		a.point = au.DTS
	} else if a.points == 0 && !a.begun {
		a.point = au.DTS
	}
	a.begun, a.dts, a.at = true, au.DTS, now
	j.newest, j.last = max(j.newest, au.DTS), now
	j.lateness(now, au.DTS)
}

// leads says whether a track is that by which viewers start.
func (j *Judge) leads(track int) bool {
	v := j.tracks.Video()
	return track == v || v < 0 && track == 0
}

// pace compares a unit with the one before.
func (j *Judge) pace(a *arrival, now int64, au *codecs.AccessUnit, leads bool) {
	step := au.DTS - a.dts
	if step > gap && a.interval > 0 && step > 4*a.interval {
		j.Record.Count(MissingMedia, 1, nil)
		j.event(now, Gaps)
	} else if step > 0 {
		if a.interval == 0 {
			a.interval = step
		}
		a.interval += (step - a.interval) / 8
	}
	if leads {
		off := now - a.at - step
		j.jitter += (max(off, -off) - j.jitter) / 16
	}
}

// lateness compares the arrival of a unit with its timestamp, from the first unit on.
func (j *Judge) lateness(now, dts int64) {
	off := now - j.base - (dts - j.first)
	switch {
	case off > late:
		j.event(now, Jittering)
		j.base += off / 16 // one that stays behind has found its place in the end
	case off > 0:
		j.base += off / 64
	case off < -maxEarly:
		j.base += off + maxEarly
	}
}

// Began says whether media has arrived since the source started.
func (j *Judge) Began() bool { return j.began }

// Jitter is the mean deviation of arrival from timestamps, in ticks.
func (j *Judge) Jitter() int64 { return j.jitter }

// Condition returns the worst condition at an instant, and its reason; zero if all is well.
func (j *Judge) Condition(now int64) (c Condition, reason string) {
	for c = Scrambled; c <= Jittering; c++ {
		if reason = j.reason(now, c); reason != "" {
			return c, reason
		}
	}
	return 0, ""
}

// reason says why a condition is met; it is empty if it is not.
func (j *Judge) reason(now int64, c Condition) string {
	if reason := j.Conditions[c]; reason != "" {
		return reason
	}
	v, a := j.tracks.Video(), j.tracks.Audio()
	switch c {
	case NoMedia:
		due := j.base + j.newest - j.first // when what has come ends
		if j.began && now-max(due, j.last) > noMedia {
			return "nothing has come for " + seconds(now-j.last)
		}
	case NoPicture:
		if v >= 0 && j.arrived[v].begun && j.newest-j.arrived[v].dts > noPicture {
			return "no picture has come for " + seconds(j.newest-j.arrived[v].dts) + " of sound"
		}
	case NoKeyPicture:
		if v >= 0 && j.arrived[v].begun {
			if since := j.arrived[v].dts - j.arrived[v].point; since > max(noKey, 3*j.arrived[v].longest) {
				return "no picture from which a viewer can start has come for " + seconds(since)
			}
		}
	case SilentTrack:
		if v >= 0 && a >= 0 && j.arrived[a].begun && j.newest-j.arrived[a].dts > silent {
			return fmt.Sprintf("the sound (%s) has been silent for %s", j.tracks[a].Codec, seconds(j.newest-j.arrived[a].dts))
		}
	case Continuity, Gaps, Jittering:
		if now < j.until[c] {
			return j.eventful(c)
		}
	}
	return ""
}

func (j *Judge) eventful(c Condition) string {
	switch c {
	case Continuity:
		return fmt.Sprintf("packets or segments are lost: %d and %d so far", j.Counts[ContinuityErrors], j.Counts[LostSegments])
	case Gaps:
		return fmt.Sprintf("the timestamps leave something out: %d times so far", j.Counts[MissingMedia])
	}
	return fmt.Sprintf("media comes later than its timestamps say, on average by %d ms", j.jitter*1000/codecs.ClockRate)
}

func seconds(ticks int64) string { return fmt.Sprintf("%d s", ticks/codecs.ClockRate) }
