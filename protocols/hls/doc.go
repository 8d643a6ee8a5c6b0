// Package hls serves streams as HTTP Live Streaming (RFC 8216).
//
// It knows no cluster and no actor. A [Router] says which node has a stream, a [Balancer] which server of a balancer
// serves a viewer, and [listen.Sessions] takes the viewers in. A stream of this node is served from the segments that
// package cmaf holds. A stream of another node is served from what package edge fetches there. Package playlist has the
// form of all playlists.
//
//   - server.go: the server, its limits and counts
//   - request.go: asking the router, holding a request, refusing it, writing the answer
//   - reload.go: the answer to a request for a playlist
//   - segment.go: the answer to a request for a segment
//   - stream.go: the state of a stream; the last good playlist, which is repeated while the owner is silent
//   - session.go: the identifiers of viewers, and the viewers as sessions
//   - balancer.go: viewers that are moved from server to server of a balancer
//
// Below the URL of a stream there are
//
//	index.m3u8        the multivariant playlist: one variant, MPEG-TS if players take all tracks of the stream
//	                  in it, else CMAF
//	index.fmp4.m3u8   the multivariant playlist of the CMAF variant
//	ts.m3u8           the media playlist with MPEG-TS segments
//	cmaf.m3u8         the media playlist with CMAF segments
//	s123.ts s123.m4s  the segment with media sequence number 123
//	i89….mp4          the init segment of a generation of tracks, named by a hash of their configuration
//
// The same names mean the same media on every node, and all URIs in playlists are relative, unless segments are to be
// fetched from the node that has them. The bytes of a media playlist are shared by all viewers; the multivariant
// playlist is made for each, because it gives the viewer a session identifier in the query of the variant's URI.
package hls
