// Package srs makes a node a coworker, an edge and an upstream of SRS servers: it answers and asks the origin cluster's
// question (who has this stream?), fetches streams from SRS origins and forwards published ones to them, and speaks
// SRS's HTTP hooks and API.
//
// It decides nothing about weir's own streams: the node says which of its cluster has a stream (see [Config]), and the router
// what becomes of a client. It knows no actor and no file.
//
//   - cluster.go: what the router asks about SRS servers; vhost.go: what names mean in a virtual host
//   - finder.go: asking coworkers; coworker.go: answering them; wire.go: the form of both; address.go: where this node is
//   - upstream.go: fetching a stream, with fetch.go for one connection; forward.go: publishing to an origin
//   - hooks.go: the HTTP hooks, with watch.go for viewers of playlists
//   - api.go: the HTTP API, with shown.go for its lists, rates.go for its bit rates and summary.go for its figures
package srs
