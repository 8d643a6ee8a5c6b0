package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/cluster/conf"
)

// fromNginx converts the rtmp block of a file of nginx with its rtmp module.
func fromNginx(w *converted, src []byte) error {
	tree, err := conf.Tree(w.from, src)
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	found := false
	for _, d := range tree {
		switch d.Name {
		case "rtmp":
			found = true
			w.rtmp(d)
		case "http":
			if port := httpPort(d); port != "" {
				w.line("http", port)
			}
		}
	}
	if !found {
		return errors.New("it has no `rtmp { … }` block; what it includes is not read")
	}
	return nil
}

// httpPort is the first port of nginx's HTTP servers; empty if there is none.
func httpPort(d conf.Statement) string {
	for _, server := range d.Block {
		for _, l := range server.Block {
			if server.Name == "server" && l.Name == "listen" && len(l.Args) > 0 && !slices.Contains(l.Args, "ssl") {
				return l.Args[0]
			}
		}
	}
	return ""
}

func (w *converted) rtmp(rtmp conf.Statement) {
	for _, server := range rtmp.Block {
		if server.Name != "server" {
			continue
		}
		for _, d := range server.Block {
			switch d.Name {
			case "listen":
				if len(d.Args) > 0 {
					w.line("rtmp", d.Args[0])
				}
			case "application":
				w.application(d)
			default:
				w.nginxLeftOut(d)
			}
		}
	}
}

// application writes a template for the names that are published into an application, and a stream for each that it pulls.
func (w *converted) application(a conf.Statement) {
	if len(a.Args) == 0 {
		return
	}
	app := a.Args[0]
	w.WriteByte('\n')
	live := slices.ContainsFunc(a.Block, func(d conf.Statement) bool { return d.Name == "live" && slices.Contains(d.Args, "on") })
	if live {
		w.remark("rtmp://HOST/%s/NAME is published and played as before, and played at http://HOST/%s/NAME/index.m3u8.", app, app)
		w.open("template", app)
		w.line("prefix", app)
		w.line("input", "publish://")
	}
	for _, d := range a.Block {
		if d.Name != "pull" && d.Name != "live" {
			w.nginxLeftOut(d)
		}
	}
	if live {
		w.close()
	} else {
		w.leftOut("the application "+app, "it has no `live on`")
	}
	for _, d := range a.Block {
		if d.Name == "pull" && len(d.Args) > 0 {
			w.pull(app, d.Args[0], d.Args[1:])
		}
	}
}

func (w *converted) pull(app, url string, options []string) {
	if !strings.Contains(url, "://") {
		url = "rtmp://" + url
	}
	name, kind := "", "ondemand"
	for _, o := range options {
		switch key, value, _ := strings.Cut(o, "="); key {
		case "name":
			name = value
		case "static":
			kind = "stream"
		}
	}
	if name == "" {
		w.leftOut("pull "+url, "write `source "+url+" { prefix "+app+"; only NAME …; }` with the names of the streams")
		return
	}
	w.open(kind, app+"/"+name)
	w.line("input", url)
	w.close()
}

// nginxReasons say why directives of the rtmp module have no counterpart. Those of an empty text need none: weir does what they ask
// for without being told.
var nginxReasons = map[string]string{
	"live": "", "hls": "", "hls_path": "", "hls_cleanup": "", "wait_key": "", "wait_video": "", "interleave": "",
	"sync": "", "buflen": "", "meta": "", "gop_cache": "", "out_queue": "", "out_cork": "", "chunk_size": "weir chooses it",
	"drop_idle_publisher": "a publisher that sends nothing gives way to another one, see `publish_takeover`", "idle_streams": "who plays a stream that nobody publishes is told so",
	"timeout": "", "ping": "", "ping_timeout": "", "max_streams": "", "ack_window": "", "max_message": "", "publish_notify": "", "play_restart": "",
	"push": "pushing is not supported yet; let the other server pull", "push_reconnect": "pushing is not supported yet",
	"hls_fragment": "segments are of 4 s", "hls_playlist_length": "playlists have six segments", "hls_variant": "name the variants in a playlist of your own",
	"hls_keys": "segments are not encrypted", "dash": "not supported yet", "dash_path": "not supported yet", "dash_fragment": "not supported yet",
	"record": "recording is not supported", "record_path": "recording is not supported", "recorder": "recording is not supported",
	"allow": "publishers and viewers are not asked yet; a firewall can keep them out", "deny": "publishers and viewers are not asked yet; a firewall can keep them out",
	"on_publish": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)", "on_play": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)",
	"on_publish_done": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)", "on_play_done": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)",
	"on_connect": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)", "on_done": "in a `vhost`, http_hooks ask a backend in SRS's form (JSON)",
	"exec": "commands are not supported", "exec_push": "commands are not supported", "exec_pull": "commands are not supported",
	"exec_static": "commands are not supported", "exec_publish": "commands are not supported", "play": "`file://` inputs play files, as streams that are the same on every node",
	"max_connections": "see `weir help directives connection_limit`",
}

func (w *converted) nginxLeftOut(d conf.Statement) {
	why, known := nginxReasons[d.Name]
	if !known {
		why = "no counterpart"
	}
	if slices.Contains([]string{"allow", "deny", "on_publish", "on_play", "on_connect"}, d.Name) {
		w.warn(opened)
	}
	off := len(d.Args) == 1 && d.Args[0] == "off"
	if why != "" && !off {
		w.leftOut(strings.Join(append([]string{d.Name}, d.Args...), " "), why)
	}
}
