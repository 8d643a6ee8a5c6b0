// Package conf holds the configuration file: its grammar, its directives, and [File], the model that the node and the simulator
// use.
//
// Each directive is one row of a table, see directive.go. The row stands in the file of the part of the model in which the
// directive is stored: file.go, peers.go, streams.go, sources.go, balancers.go or vhosts.go. Directives that are not supported
// yet are in directive.go, except the listeners of protocols, which are in package protocols. The value of a row, see value.go,
// reads the directive into the model and writes the model as text. A new directive needs a field of the model and a row;
// cluster/node passes the field to the package that implements the directive.
//
// The package reads the bytes that it is given and opens nothing: it knows no file system, socket, clock or actor. It does not
// know what a directive does. [Load] reads a file and command-line flags that override it, [Parse] a file alone.
package conf
