package conf

import (
	"regexp"
	"slices"
	"strings"
)

// A resemblance is how a file of another server is known: by lines that its files have and files of weir have not.
type resemblance struct {
	server string
	line   *regexp.Regexp
	least  int    // how many such lines tell
	advice string // what to do with the file
}

var resemblances = []resemblance{
	{
		"MediaMTX", regexp.MustCompile(`^(paths|pathDefaults|authMethod|authInternalUsers|logLevel|logDestinations|readTimeout|writeTimeout|(rtsp|rtmp|hls|webrtc|srt|api|metrics|pprof|playback)(Address|Encryption)?):`), 2,
		"`weir convert FILE` makes a file for weir of it",
	},
	{
		"nginx", regexp.MustCompile(`^\s*(worker_processes\s|worker_connections\s|(events|rtmp|http)\s*\{|application\s+\S+\s*\{|rtmp_auto_push\s)`), 2,
		"`weir convert FILE` makes a file for weir of its rtmp block",
	},
	{
		"SRS", regexp.MustCompile(`^\s*(listen\s+\d|max_connections\s+\d|srs_log_\w+\s|daemon\s+(on|off);|(http_api|http_server|rtc_server|srt_server|stats|heartbeat)\s*\{)`), 2,
		"weir reads its `vhost` blocks with `cluster`; `listen 1935` is `rtmp 1935` here, and `http_server { listen 8080; }` is `http 8080`",
	},
	{
		"Flussonic", regexp.MustCompile(`^\s*(pulsedb|session_log|iptv|transponder|auth_backend|dvr|transcoder|stream\s.*\b(dvr|transcoder)\s)\b`), 1,
		"weir reads such files; what is \"not supported yet\" has to be taken out",
	},
	{
		"Wowza or another program that is configured by XML", regexp.MustCompile(`^\s*<(\?xml|Root|Application|Server)\b`), 1,
		"weir's file has directives, such as `stream NAME { input URL; }`",
	},
	{
		"a program that is configured by JSON", regexp.MustCompile(`^\s*"\w+"\s*:`), 2,
		"weir's file has directives, such as `stream NAME { input URL; }`",
	},
}

// resembles says of which other server a file looks to be; nil if it looks like none.
func resembles(src []byte) *resemblance {
	found := make([]int, len(resemblances))
	for line := range strings.Lines(string(src)) {
		for i := range resemblances {
			if resemblances[i].line.MatchString(line) {
				if found[i]++; found[i] >= resemblances[i].least {
					return &resemblances[i]
				}
			}
		}
	}
	return nil
}

// tellResemblance puts in front of the problems of a file that it looks to be another server's.
func (r *report) tellResemblance(filename string, src []byte) {
	if r.fatal == 0 {
		return
	}
	if other := resembles(src); other != nil {
		text := "this looks like a file of " + other.server + ": " + other.advice
		r.list = slices.Insert(r.list, 0, Problem{Pos: Pos{File: filename, Line: 1, Col: 1}, Severity: Warning, Text: text})
	}
}
