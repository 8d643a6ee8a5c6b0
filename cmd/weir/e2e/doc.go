// Package e2e holds no code of the program: its tests run clusters of real processes on loopback and watch them with
// real players.
//
// They need ffmpeg and ffprobe. Without them they are skipped, and say so; where the variable CI is set, a missing tool
// is a failure.
package e2e
