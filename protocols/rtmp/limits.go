package rtmp

import (
	"errors"

	"github.com/yutopp/go-rtmp/message"
)

// What a peer may make this side hold. The numbers are far above what encoders and players do: they open five to eight
// chunk streams, their commands have less than 2 KB, and an access unit of a 4K stream has about one megabyte.
const (
	maxChunkStreams = 64
	maxChunkSize    = 1<<24 - 1 // a chunk cannot be longer than a message
	maxControl      = 64
	maxCommand      = 64 << 10
	maxData         = 1 << 20   // onMetaData with an index
	maxMedia        = 1<<24 - 1 // what the length field can say
	maxPartial      = 32 << 20  // unfinished messages, together

	// Before a client may publish, it has nothing to send that is long.
	maxPartialQuiet = 32 << 10

	firstPiece = 16 << 10 // allocated before a message has shown that it comes
	minWindow  = 4 << 10  // a peer that wants acknowledgements more often gets them this often

	maxBadTags = 64 // in a row, from a publisher
)

// errLimit says that the peer crossed a limit or broke the protocol; the connection is closed.
var errLimit = errors.New("limit exceeded")

// errProtocol says that what came is not RTMP.
var errProtocol = errors.New("protocol error")

// maxLength is the most bytes that a message of a type may have; media says whether the peer may send media.
func maxLength(typ uint8, media bool) int {
	switch message.TypeID(typ) {
	case message.TypeIDSetChunkSize, message.TypeIDAbortMessage, message.TypeIDAck, message.TypeIDUserCtrl,
		message.TypeIDWinAckSize, message.TypeIDSetPeerBandwidth:
		return maxControl
	case message.TypeIDAudioMessage, message.TypeIDVideoMessage, message.TypeIDAggregateMessage:
		if media {
			return maxMedia
		}
	case message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
		if media {
			return maxData
		}
	}
	return maxCommand
}
