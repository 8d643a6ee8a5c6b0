package main

import "github.com/alecthomas/kong"

// A cli is the command line.
type cli struct {
	Node    NodeCmd    `cmd:"" help:"Run a node."`
	Demo    DemoCmd    `cmd:"" help:"Run a cluster of three nodes on this machine."`
	Check   CheckCmd   `cmd:"" help:"Check a configuration file."`
	Sim     SimCmd     `cmd:"" help:"Simulate a cluster: what a failure would do, and whether every rule of the cluster holds."`
	Status  StatusCmd  `cmd:"" help:"Show the cluster: what is wrong, the nodes, and the streams that do not run."`
	Explain ExplainCmd `cmd:"" help:"Say why a stream is at the node where it is."`
	Plan    PlanCmd    `cmd:"" help:"Say which streams would move if some nodes were gone."`
	Drain   DrainCmd   `cmd:"" help:"Hand over a node's streams to the other nodes and end it."`
	Bench   BenchCmd   `cmd:"" help:"Measure a running cluster."`
	Convert ConvertCmd `cmd:"" help:"Make a configuration of the file of another server."`
	Key     KeyCmd     `cmd:"" help:"Make a cluster_key."`
	Help    HelpCmd    `cmd:"" help:"Explain the configuration file."`
	Version VersionCmd `cmd:"" help:"Print the version."`

	Completion CompletionCmd `cmd:"" help:"Print what makes a shell complete commands and flags."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// NodeCmd is `weir node`.
type NodeCmd struct {
	Config string `short:"c" env:"WEIR_CONFIG" placeholder:"FILE" help:"Configuration file; - reads standard input. The flags below override it."`

	Settings

	// ParentPipe is set by `weir demo`, so that its nodes end when it ends.
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

SIGHUP, a change of the file, and POST /streamer/api/v3/config/reload make the node read its file again. A stream whose
block did not change goes on. A file with an error changes nothing.

The node runs until it is interrupted, or until it has drained after SIGTERM or 'weir drain'. Exit codes: 0 ended as asked;
1 something failed, such as a port in use; 2 the configuration is wrong, and nothing was started.`
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
	Print bool   `help:"Print the configuration as weir reads it, with defaults filled in and secrets hidden."`
	JSON  bool   `name:"json" help:"Print JSON: whether the file is right, and each problem with its line and column."`

	Settings
}

// Help implements [kong.HelpProvider].
func (*CheckCmd) Help() string {
	return `Examples:
  weir check weir.conf
  weir check --print weir.conf

Every line says where something is wrong, what was found and what was expected. A directive that weir does not support yet
is refused, so that nothing is ignored in silence. Give the other flags, or their variables, as the node will get them, such
as a key that is not in the file.

Exit codes: 0 a node would start, perhaps with warnings; 2 it would not.`
}

// VersionCmd is `weir version`.
type VersionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*VersionCmd) Help() string {
	return `Examples:
  weir version
  weir version --json
  weir --version`
}
