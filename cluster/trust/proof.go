package trust

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The headers of the exchange.
//
//	request   Weir-Proof: 1                                      I have no nonce of yours
//	          Weir-Proof: 1 NONCE OWN BODYHASH MAC
//	refusal   401, Weir-Trust: nonce | stale, Weir-Nonce: NONCE  repeat with this one
//	          401, Weir-Trust: refused                           your key is not mine
//	reply     Weir-Proof: 1 body MAC, Weir-Nonce: NONCE          the next one
//	          Weir-Proof: 1 stream MAC, Weir-Nonce: NONCE        the body is endless and not covered
//
// Every value is base64url without padding.
const (
	HeaderProof = "Weir-Proof"
	HeaderNonce = "Weir-Nonce"
	HeaderTrust = "Weir-Trust"
)

// version is the first word of every proof.
const version = "1"

const (
	trustNonce   = "nonce"
	trustStale   = "stale"
	trustRefused = "refused"
)

// The words that keep proofs of different purposes apart: none can be passed off as another.
const (
	domainRequest = "weir request v1"
	domainReply   = "weir reply v1"
	domainStream  = "weir stream v1"
)

const (
	nonceSize = 32 // what the answerer issues
	ownSize   = 16 // what the asker adds
)

type (
	nonce [nonceSize]byte
	own   [ownSize]byte
	sum   [sha256.Size]byte
)

// emptySum is the hash of no body.
var emptySum = sum(sha256.Sum256(nil))

// digest is HMAC-SHA256 over the fields, each behind its length, so that no two lists of fields are the same bytes.
func digest(k Keys, domain string, fields ...[]byte) (out sum) {
	h := hmac.New(sha256.New, k.mac[:])
	var n [4]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	write([]byte(domain))
	for _, f := range fields {
		write(f)
	}
	h.Sum(out[:0])
	return out
}

// A requestProof is the asker's side of the exchange. Its mac is part of the reply's, which so answers this request
// and no other.
type requestProof struct {
	nonce nonce
	own   own
	body  sum
	mac   sum
}

func (p requestProof) sign(k Keys, method, uri string) sum {
	return digest(k, domainRequest, []byte(method), []byte(uri), p.nonce[:], p.own[:], p.body[:])
}

func (p requestProof) String() string {
	return strings.Join([]string{version, encode(p.nonce[:]), encode(p.own[:]), encode(p.body[:]), encode(p.mac[:])}, " ")
}

var (
	errNoProof  = errors.New("no proof")
	errNotProof = errors.New("malformed proof")
)

// parseRequest reads a request's Weir-Proof header. It returns errNoProof for one that only asks for a nonce.
func parseRequest(header string) (p requestProof, err error) {
	words := strings.Split(header, " ")
	switch {
	case header == "" || len(words) == 1 && words[0] == version:
		return p, errNoProof
	case len(words) != 5 || words[0] != version:
		return p, errNotProof
	}
	for i, dst := range [][]byte{p.nonce[:], p.own[:], p.body[:], p.mac[:]} {
		if !decode(dst, words[i+1]) {
			return p, errNotProof
		}
	}
	return p, nil
}

// replySum is the proof of a reply: kind is domainReply, with the hash of its body, or domainStream, with none.
func replySum(k Keys, kind string, request sum, status int, next string, body sum) sum {
	fields := [][]byte{request[:], []byte(strconv.Itoa(status)), []byte(next)}
	if kind == domainReply {
		fields = append(fields, body[:])
	}
	return digest(k, kind, fields...)
}

var replyWords = map[string]string{"body": domainReply, "stream": domainStream}

func formatReply(kind string, mac sum) string {
	word := "body"
	if kind == domainStream {
		word = "stream"
	}
	return version + " " + word + " " + encode(mac[:])
}

// parseReply reads a reply's Weir-Proof header.
func parseReply(header string) (kind string, mac sum, err error) {
	words := strings.Split(header, " ")
	if len(words) != 3 || words[0] != version {
		return "", mac, errNotProof
	}
	kind, ok := replyWords[words[1]]
	if !ok || !decode(mac[:], words[2]) {
		return "", mac, errNotProof
	}
	return kind, mac, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode fills dst from exactly as many characters as it takes; a second spelling of the same bytes is refused.
func decode(dst []byte, s string) bool {
	if len(s) != base64.RawURLEncoding.EncodedLen(len(dst)) || strings.ContainsAny(s, "\r\n") {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && copy(dst, b) == len(dst)
}

func (n nonce) String() string { return encode(n[:]) }

func parseNonce(s string) (n nonce, err error) {
	if !decode(n[:], s) {
		return n, fmt.Errorf("malformed nonce of %d characters", len(s))
	}
	return n, nil
}

func newOwn() (o own) {
	_, _ = rand.Read(o[:]) // never fails
	return o
}
