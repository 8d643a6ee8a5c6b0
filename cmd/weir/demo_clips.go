package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/fmp4"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
)

// The clips that the demonstration plays from files.
const (
	tsClip  = "clip.ts"
	mp4Clip = "clip.mp4"
)

// demoClips are the clips, with their pictures and their formats.
var demoClips = []struct {
	file    string
	pattern fake.Config
	seconds int
	write   func(codecs.Tracks, []*codecs.AccessUnit) ([]byte, error)
}{
	{tsClip, fake.Config{Width: 640, Height: 360}, 20, transportStream},
	{mp4Clip, fake.Config{Width: 854, Height: 480}, 30, fragmentedMP4},
}

// writeClips writes the clips into a directory.
func writeClips(dir string) error {
	for _, c := range demoClips {
		p, err := fake.New(c.pattern)
		var units []*codecs.AccessUnit
		if err == nil {
			units, err = linear.Excerpt(p, c.seconds)
		}
		var b []byte
		if err == nil {
			b, err = c.write(p.Tracks(), units)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, c.file), b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("making the clip %s: %w", c.file, err)
		}
	}
	return nil
}

// transportStream makes an MPEG transport stream.
func transportStream(tracks codecs.Tracks, units []*codecs.AccessUnit) ([]byte, error) {
	if err := mpegts.Check(tracks); err != nil {
		return nil, err
	}
	return mpegts.Segment(tracks, units), nil
}

// fragmentedMP4 makes a fragmented MP4 file with a fragment for each GOP. Units are those of a video track and perhaps
// others, and begin with a random access point.
func fragmentedMP4(tracks codecs.Tracks, units []*codecs.AccessUnit) ([]byte, error) {
	init, err := fmp4.Init(tracks)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(init)
	video := tracks.Video()
	for sequence := uint32(1); len(units) > 0; sequence++ {
		end := 1
		for end < len(units) && (units[end].Track != video || !units[end].RandomAccess) {
			end++
		}
		next := make([]int64, len(tracks))
		for _, au := range units[end:] {
			if next[au.Track] == 0 {
				next[au.Track] = au.DTS
			}
		}
		b.Write(fmp4.Fragment(tracks, sequence, units[:end], next))
		units = units[end:]
	}
	return b.Bytes(), nil
}
