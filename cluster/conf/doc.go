// Package conf holds the configuration file: its grammar, the directives that it may contain, and the typed model
// that the node and the simulator obey.
//
// Each directive is one row of a table, see [Directive]. The rows stand beside the part of the model that they are about:
// file.go, peers.go, streams.go, sources.go, balancers.go, vhosts.go. A row's value, see value.go, reads the directive into
// the model and writes it again. A new directive is a field of the model and a row, and cluster/node hands the field to the
// package that obeys it.
//
// The package reads bytes that it is given and opens nothing: it knows no file system, socket, clock or actor. What a
// directive does belongs to the package that obeys it; here it is only understood, checked and refused. [Load] is the entry
// for a file with command-line flags laid over it, [Parse] for a file alone.
package conf
