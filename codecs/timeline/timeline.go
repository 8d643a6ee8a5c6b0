// Package timeline puts the access units of an input's tracks on one timeline that goes forward. Every input from outside goes
// through it; relays of other nodes do not, because the first node has done it. The rules, for each track:
//
//   - The DTS always rises, and no PTS is before its DTS (ITU-T H.222.0, 2.7.4 and 2.4.3.7).
//   - Timestamps that wrap go on.
//   - A missing DTS of a picture follows from the order in which pictures are shown. A missing PTS is interpolated between those
//     that are there, which need not be more than every 0.7 s (H.222.0, 2.7.4); when the distance of pictures is known by then, no
//     picture waits for the next timestamp.
//   - A timestamp that steps back by up to a second is the place of no access unit: the unit follows on the one before, at half the
//     usual distance if it is a picture, until the timestamps have caught up, and at the length of the one before if it is sound.
//   - A track whose timestamps stand still goes on at its usual pace, and is reported as [reception.Stalled].
//   - A timestamp that is further behind, or more than ten seconds ahead of all tracks, is either wrong alone or the first of another
//     timeline. The unit follows on the one before. When the next unit agrees with it, or the unit is a random access point of video,
//     the timeline has jumped: the tracks that agree are joined on to what was before, and the first unit that is known to be behind
//     the jump is marked as a discontinuity. A single outlier leaves no mark.
//   - A PTS before its DTS, as encoders have that count composition from the last reference picture, moves the DTS of the track
//     forward in time by as much, since the order of PTS is what viewers see.
//   - Where the input says that it may repeat what it has sent, access units that came before are left out, and those behind them
//     follow without a mark.
//   - Sound that drifts against the pictures, by the order in which both arrive, is brought back by at most a hundredth of its
//     length. A sudden change of that order is no drift, and is kept.
//
// What is repaired is counted as [reception.RepairedTimes]. The package knows no container and no clock, and waits for nothing but
// access units.
package timeline

import (
	"errors"

	"weir/codecs/reception"

	"weir/codecs"
)

// A Stamp is what an input says of the time of an access unit, in ticks. The zero Stamp says nothing; see [At] and [Presented].
type Stamp struct {
	dts, pts       int64
	hasDTS, hasPTS bool
	follows        bool
}

// At is the stamp of an access unit with both times.
func At(dts, pts int64) Stamp { return Stamp{dts: dts, pts: pts, hasDTS: true, hasPTS: true} }

// Presented is the stamp of an access unit that has a PTS only: of sound, or of a picture whose DTS follows from the order of the
// pictures. Where other pictures of the track have a DTS, one without has that of its PTS (H.222.0, 2.4.3.7).
func Presented(pts int64) Stamp { return Stamp{pts: pts, hasPTS: true} }

// Following is the stamp of sound that follows on the sound before it, as in one packet. Nothing is missing there.
func Following() Stamp { return Stamp{follows: true} }

// Config says what the timestamps of an input are like.
type Config struct {
	// Wrap is the number of ticks after which timestamps begin again at 0; zero if they do not.
	Wrap int64

	// FromZero says that the timeline starts at 0, instead of where the timestamps do.
	FromZero bool

	// Rounded says that timestamps are rounded to a unit of so many ticks: sound is put where the number of its samples says, as
	// long as that is within two units of its timestamps. Zero means that they are exact.
	Rounded int64

	// Report is told what is repaired. It is never nil.
	Report reception.Report
}

// A Timeline is that of one input. It belongs to one goroutine.
type Timeline struct {
	cfg Config

	started bool
	raw     int64 // the last timestamp of any track, unwrapped
	shift   int64 // what tracks that follow the newest jump are moved by
	begun   bool  // a DTS has been given out
	latest  int64 // the latest of them
	broken  int   // how many times another timeline has begun, by what the input says
	joined  int   // up to which of these times a track has followed
	again   int   // how many times the input may have repeated something, by what it says
	video   *Track
}

// New returns a timeline without tracks.
func New(c Config) *Timeline { return &Timeline{cfg: c} }

// Distances from the last timestamp, in ticks.
const (
	maxBack     = codecs.ClockRate        // a track that steps back further has jumped
	maxAhead    = 10 * codecs.ClockRate   // a track that is further ahead of all tracks has jumped
	afterBreak  = codecs.ClockRate        // the same where the input says that another timeline begins; none may step back then
	joint       = codecs.ClockRate / 25   // between the last unit before a jump and the first after it
	least       = codecs.ClockRate / 1000 // between two units of a track that lie in the wrong order: what FLV can tell apart
	usual       = codecs.ClockRate / 25   // between two pictures of which nothing is known
	maxLead     = codecs.ClockRate / 2    // a PTS further before its DTS is wrong
	maxInterval = 2 * codecs.ClockRate
	maxRepeated = 120 * codecs.ClockRate // a unit further behind is of another timeline
)

var errRepeated = errors.New("it has come before")

// Track adds a track of video or of sound.
func (l *Timeline) Track(video bool) *Track {
	t := &Track{l: l, Name: "the sound", video: video, broken: l.broken, again: l.again}
	if video {
		t.Name, l.video = "the video", t
	}
	return t
}

// Again says that the input may repeat what it has sent, as a server that numbers its segments anew.
func (l *Timeline) Again() { l.again++ }

func (l *Timeline) repaired() { l.cfg.Report.Count(reception.RepairedTimes, 1, nil) }

// unwrap turns a timestamp into one that does not wrap, by the shorter way from the last one.
func (l *Timeline) unwrap(timestamp int64) int64 {
	switch {
	case !l.started:
		l.started, l.raw = true, timestamp
		if l.cfg.FromZero {
			l.shift = -timestamp
		}
	case l.cfg.Wrap > 0:
		l.raw += l.shorter(timestamp - l.raw)
	default:
		l.raw = timestamp
	}
	return l.raw
}

// shorter returns the distance of two timestamps by the shorter way round.
func (l *Timeline) shorter(distance int64) int64 {
	if l.cfg.Wrap == 0 {
		return distance
	}
	half := l.cfg.Wrap / 2
	if distance = (distance + half) % l.cfg.Wrap; distance < 0 {
		distance += l.cfg.Wrap
	}
	return distance - half
}
