// Package scenario reads and writes the files that say what a simulated group goes through: its configuration, what
// happens when, and what has to hold.
//
// It does not run anything (package sim does), reads no file by itself, and knows no command line. The configuration is
// understood by the node's own parser; all that is added to it are ranges of names.
//
// A scenario is a txtar archive:
//
//	# What the scenario shows, in a paragraph.
//	-- cluster.conf --
//	cluster_key abcd;
//	peer n[1..3]:8080 { fetch_timeout 1000; stale_timeout 3000; }
//	stream cam[01..30] { input fake://fake; cluster_ingest; }
//	-- scenario --
//	seed 42  net delay 1ms..50ms loss 0%  capture up 500ms down 50ms
//	at 20s   crash n2
//	expect   each stream on exactly 1 node within 3.6s
//	from 60s to 75s  partition n1 | n2,n3
//	expect   each stream on exactly 1 node within 1.3s after heal
//
// A section NODE.conf is the configuration of that node alone; a .conf section of any other name is one that an edit
// puts into effect. A section expect.trace is the trace that the run has to give. A text without sections is the
// scenario section alone, for use with a configuration from elsewhere.
package scenario
