// Package e2e holds no code of the program: its tests run clusters of real processes on loopback and watch them with
// real players.
//
// They need ffmpeg and ffprobe, and some ten minutes; hence the tag without which they are not built:
//
//	go test -tags e2e -timeout 30m ./cmd/weir/e2e
package e2e
