// Package api answers the HTTP API in the shape of Flussonic's version 3, the metrics, the health checks and the tree
// of actors. It shows the state of a [Node], hands changes to a [Control], and edits of the configuration file to a
// [Settings].
//
// It decides only which requests may see and change something, and knows no actor, no cluster and no grammar of the
// configuration file.
//
// Everything that can be asked is a row of one table, [operations]: method, path, permission, parameters, the Go types
// of body and answer, and the function that answers. Routing, authorisation, the check of parameters and bodies, the
// Allow header and the OpenAPI 3.1 document at /streamer/api/v3/openapi.json are made from these rows, so that none of
// them can say something else than the others.
//
// The types of the answers are [Stream], [Session], [Peer], [PeerStats], [Balancer], [Alarm], [Event], [Minute] and
// [Actor]; what the file says is [ConfigFile], [Text] and [Entry], what an edit has done [Edited], how files differ [Drift]; an answer that is not the one asked for is a [Failure]. Their descriptions in the document are the jsonschema
// tags of their fields. A list has its items under their own name (streams, sessions, peers, …) beside estimated_count,
// next and prev.
//
// The schemas come from github.com/google/jsonschema-go, which makes them from Go types and checks values by them; it
// has no dependencies. JSON Schema 2020-12, which it speaks, is the dialect of OpenAPI 3.1. Frameworks such as huma and
// kin-openapi were not taken: names of streams contain slashes in front of further components of a path
// (/streams/a/b/stop), a list has a parameter for each field and comparison, an update tells null from a member that is
// left out, and bodies of settings follow the table of directives and no Go type. Each of these would have had to be
// done beside them.
package api
