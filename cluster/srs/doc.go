// Package srs makes a node a coworker, an edge and an upstream of SRS servers: it answers and asks the origin cluster's
// question (who has this stream?), fetches streams from SRS origins and forwards published ones to them, and speaks
// SRS's HTTP hooks and API.
//
// It decides nothing about weir's own streams: what this cluster has is the node's to say (see [Config]), and what
// becomes of a client that asks for a stream is the desk's. It knows no actor and no file.
package srs
