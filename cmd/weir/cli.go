package main

import (
	"os"
	"strings"

	"weir/cluster/conf"
	"weir/protocols"
)

// A cli is the command line.
type cli struct {
	Node    NodeCmd    `cmd:"" help:"Run a node."`
	Demo    DemoCmd    `cmd:"" help:"Run a cluster of three nodes on this machine."`
	Check   CheckCmd   `cmd:"" help:"Check a configuration file."`
	Sim     SimCmd     `cmd:"" help:"Simulate a cluster: what a failure would do, and whether every promise is kept."`
	Explain ExplainCmd `cmd:"" help:"Say why a stream is where it is."`
	Plan    PlanCmd    `cmd:"" help:"Say what would move without some nodes."`
	Drain   DrainCmd   `cmd:"" help:"Hand a node's streams over to the others and end it."`
	Bench   BenchCmd   `cmd:"" help:"Measure a running cluster."`
	Version VersionCmd `cmd:"" help:"Print the version."`
}

// NodeCmd is `weir node`. Its settings are kept as typed: package conf understands them as the directives of the same
// names.
type NodeCmd struct {
	Config string `short:"c" env:"WEIR_CONFIG" placeholder:"FILE" help:"Configuration file; - reads standard input. The flags below override it."`

	Name           string   `env:"WEIR_NAME" placeholder:"NAME" help:"Name of this node in its cluster."`
	HTTP           []string `name:"http" env:"WEIR_HTTP" placeholder:"[HOST:]PORT" help:"Listen for HTTP; several are possible, off disables. Default 80."`
	HTTPS          []string `name:"https" env:"WEIR_HTTPS" placeholder:"[HOST:]PORT" help:"Listen for HTTPS."`
	RTMP           []string `name:"rtmp" env:"WEIR_RTMP" placeholder:"[HOST:]PORT" help:"Listen for RTMP. Default 1935."`
	RTSP           []string `name:"rtsp" env:"WEIR_RTSP" placeholder:"[HOST:]PORT" help:"Listen for RTSP. Default 554."`
	Remote         string   `env:"WEIR_REMOTE" placeholder:"[HOST:]PORT" help:"Listen for the actors of other nodes. Default any free port."`
	ClusterKey     string   `env:"WEIR_CLUSTER_KEY" placeholder:"KEY" help:"Secret that all nodes share. Other users of this machine can see a flag; use the variable or the file."`
	Peer           []string `env:"WEIR_PEER" placeholder:"HOST[:PORT]" help:"Add a peer; a block with its settings may follow, as in the file."`
	Stream         []string `sep:"none" env:"WEIR_STREAM" placeholder:"NAME=URL" help:"Add a stream; further directives may follow behind a semicolon. In the variable: one per line."`
	Vod            []string `sep:"none" env:"WEIR_VOD" placeholder:"[NAME=]DIR" help:"Directory of file://NAME/…; NAME is vod if left out. In the variable: one per line."`
	GeoIP          string   `name:"geoip" env:"WEIR_GEOIP" placeholder:"FILE" help:"Database of countries (MaxMind), for balancers that name countries. Default GeoLite2-Country.mmdb, then GeoLite2-City.mmdb, in /usr/share/GeoIP."`
	Log            string   `env:"WEIR_LOG" placeholder:"LEVEL" help:"debug, info, warn or error. Default info."`
	ReturnHolddown string   `env:"WEIR_RETURN_HOLDDOWN" placeholder:"MS" help:"How long a returned node is watched before its streams go back to it, in milliseconds. Default 30000."`

	// ParentPipe is how `weir demo` keeps its nodes from outliving it.
	ParentPipe bool `hidden:"" help:"End when standard input does."`
}

// Help implements [kong.HelpProvider].
func (*NodeCmd) Help() string {
	return `Examples:
  weir node --config weir.conf
  weir node --config weir.conf --name streamer --http 8080
  weir node --http 8080 --rtsp off --stream cam01=fake://fake
  weir node --config weir.conf --vod testdata/vod
  WEIR_CLUSTER_KEY=… weir node --peer n1:8080 --peer 'n2:8080 { public cdn.example.com; }' \
      --stream 'cam01=file://vod/bunny.mp4; cluster_ingest capture_at=n1'

A flag means what the directive of the same name means in the file. --name, --remote, --cluster-key, --geoip, --log,
--return-holddown and the listeners replace what the file says; --peer, --stream and --vod add to it, and replace an
entry of the same name.

SIGHUP, a change of the file, and POST /streamer/api/v3/config/reload make the node read its file again. Only what
differs is touched: a stream whose block did not change goes on. A file with an error changes nothing.

The node runs until it is interrupted, or until it has drained after SIGTERM or 'weir drain'. Exit codes: 0 ended as asked; 1 something failed, such as a port in use; 2 the
configuration is wrong, and nothing was started.`
}

// DemoCmd is `weir demo`.
type DemoCmd struct {
	JSON bool   `name:"json" help:"Print one line of JSON with the nodes and their addresses instead of the table."`
	Log  string `env:"WEIR_LOG" default:"info" enum:"debug,info,warn,error" help:"How much the nodes write into their logs: ${enum}. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*DemoCmd) Help() string {
	return `Examples:
  weir demo
  weir demo --json

Three nodes run on loopback, with streams that need no camera. The table shows what to paste into a player, and how to
kill a node and bring it back; then a line tells each change. Ctrl-C ends everything that was started.

Exit codes: 0 ended as asked; 1 something failed.`
}

// CheckCmd is `weir check`.
type CheckCmd struct {
	File  string `arg:"" help:"Configuration file; - reads standard input."`
	GeoIP string `name:"geoip" env:"WEIR_GEOIP" placeholder:"FILE" help:"Database of countries that the node will be given."`
	Print bool   `help:"Print the configuration as it is understood, with defaults filled in and secrets hidden."`
}

// Help implements [kong.HelpProvider].
func (*CheckCmd) Help() string {
	return `Examples:
  weir check weir.conf
  weir check --print weir.conf

Every line says where something is wrong, what was found and what was expected. What weir understands but does not do
yet is refused, so that nothing is ignored in silence.

Exit codes: 0 a node would start, perhaps with warnings; 2 it would not.`
}

// VersionCmd is `weir version`.
type VersionCmd struct{}

// Help implements [kong.HelpProvider].
func (*VersionCmd) Help() string {
	return `Example:
  weir version`
}

// flags gives the settings to package conf.
func (c *NodeCmd) flags() conf.Flags {
	return conf.Flags{
		Name: c.Name, Remote: c.Remote, ClusterKey: c.ClusterKey, LogLevel: c.Log, ReturnHolddown: c.ReturnHolddown, GeoIP: c.GeoIP,
		Listeners: map[protocols.Protocol][]string{
			protocols.HTTP: c.HTTP, protocols.HTTPS: c.HTTPS, protocols.RTMP: c.RTMP, protocols.RTSP: c.RTSP,
		},
		Peers: c.Peer, Streams: lines(c.Stream), Vods: lines(c.Vod),
		Self: hostnames(),
	}
}

// lines divides values that come from an environment variable, one per line.
func lines(values []string) []string {
	var out []string
	for _, v := range values {
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	return out
}

// hostnames are the names by which capture_at may mean this machine.
func hostnames() []string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short}
}
