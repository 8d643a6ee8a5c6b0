// Package conf holds the configuration file: its grammar, the directives that it may contain, and the typed model
// that the node and the simulator obey.
//
// It reads bytes that it is given and opens nothing: it knows no file system, socket, clock or actor. What a directive
// does belongs to the package that obeys it; here it is only understood, checked and refused. [Load] is the entry for
// a file with command-line flags laid over it, [Parse] for a file alone.
package conf
