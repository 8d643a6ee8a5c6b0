package pull

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/protocols/pull/m3u8"
)

// How many bytes a segment and a key may have. A segment of ten seconds at 100 Mbit/s has 125 MB.
const (
	maxSegment = 128 << 20
	maxKey     = 1 << 10
)

// A StatusError says that a server refuses a request.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d %s", e.Code, http.StatusText(e.Code))
}

var (
	errEmpty     = errors.New("it is empty")
	errPadding   = errors.New("it cannot be decrypted with the key")
	errLate      = errors.New("it did not come")
	errRanges    = errors.New("it is a part of a large file, and the server knows no ranges")
	errEncrypted = errors.New("encrypted, not supported")
)

// A fetcher fetches the files of one presentation. It belongs to one goroutine.
type fetcher struct {
	o      Options
	client *http.Client
	keys   map[string][]byte // by URL
}

// get fetches a file that lasts so long, and returns the URL under which it was found in the end. A server that hangs or sends next to
// nothing is given up soon enough for another request.
func (f *fetcher) get(ctx context.Context, u *url.URL, part m3u8.Range, most int64, lasts time.Duration) ([]byte, *url.URL, error) {
	within := f.o.Connect + lasts
	late := fmt.Errorf("%w within %v", errLate, within)
	ctx, cancel := context.WithTimeoutCause(ctx, within, late)
	defer cancel()
	b, found, err := f.body(ctx, u, part, most)
	if err != nil && context.Cause(ctx) == late { //nolint:errorlint // it is the cause itself
		err = late
	}
	return b, found, err
}

func (f *fetcher) body(ctx context.Context, u *url.URL, part m3u8.Range, most int64) ([]byte, *url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	switch {
	case err != nil:
		return nil, nil, redacted(err)
	case u.Scheme == "data":
		b, err := embedded(u)
		return b, u, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, nil, fmt.Errorf("URLs of the scheme %q are not read", u.Scheme)
	}
	if part.Length > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part.Offset, part.Offset+part.Length-1))
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, nil, redacted(err)
	}
	defer func() { _ = res.Body.Close() }()
	body := io.Reader(res.Body)
	switch {
	case res.StatusCode == http.StatusOK && part.Offset > most:
		return nil, nil, errRanges
	case res.StatusCode == http.StatusOK && part.Length > 0: // the server knows no ranges
		if _, err := io.CopyN(io.Discard, body, part.Offset); err != nil {
			return nil, nil, ended(err)
		}
		body = io.LimitReader(body, part.Length)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent:
		return nil, nil, &StatusError{res.StatusCode}
	}
	b, err := io.ReadAll(io.LimitReader(body, most+1))
	switch {
	case err != nil:
		return nil, nil, ended(err)
	case len(b) == 0:
		return nil, nil, errEmpty
	case int64(len(b)) > most:
		return nil, nil, fmt.Errorf("more than %d bytes: %w", most, ErrTooLarge)
	case part.Length > 0 && int64(len(b)) != part.Length:
		return nil, nil, fmt.Errorf("%d bytes of a range of %d", len(b), part.Length)
	}
	if b, err = unzipped(b, most); err != nil {
		return nil, nil, err
	}
	return b, res.Request.URL, nil
}

// embedded is what a data URL holds (RFC 2397), as some playlists have keys and init segments.
func embedded(u *url.URL) ([]byte, error) {
	kind, data, ok := strings.Cut(u.Opaque, ",")
	if !ok {
		return nil, errors.New("a data URL without data")
	}
	text, err := url.PathUnescape(data)
	if err != nil {
		return nil, fmt.Errorf("a data URL: %w", err)
	}
	if !strings.HasSuffix(kind, ";base64") {
		return []byte(text), nil
	}
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a data URL: %w", err)
	}
	return b, nil
}

// unzipped undoes gzip (RFC 1952), in which some servers hold files without saying so. No playlist and no segment begins like it,
// but one that is encrypted may: what is no gzip after all stays as it is.
func unzipped(b []byte, most int64) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return b, nil
	}
	out, err := io.ReadAll(io.LimitReader(z, most+1))
	switch {
	case err != nil:
		return b, nil
	case int64(len(out)) > most:
		return nil, fmt.Errorf("more than %d bytes: %w", most, ErrTooLarge)
	}
	return out, nil
}

// playlist fetches and reads a playlist.
func (f *fetcher) playlist(ctx context.Context, u *url.URL) (*m3u8.Playlist, *url.URL, error) {
	b, base, err := f.get(ctx, u, m3u8.Range{}, m3u8.MaxBytes, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("playlist: %w", err)
	}
	p, err := m3u8.Parse(b)
	if err != nil {
		return nil, nil, fmt.Errorf("playlist: %w", err)
	}
	return p, base, nil
}

// segment fetches a segment and decrypts it.
func (f *fetcher) segment(ctx context.Context, base *url.URL, s m3u8.Segment) ([]byte, error) {
	u, err := base.Parse(s.URI)
	if err != nil {
		return nil, redacted(err)
	}
	var cipherKey []byte
	if s.Key != nil {
		if cipherKey, err = f.key(ctx, base, s.Key); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	b, _, err := f.get(ctx, u, s.Bytes, maxSegment, s.Duration)
	if err != nil || s.Key == nil {
		return b, err
	}
	iv := s.Key.IV
	if iv == nil { // the media sequence number (RFC 8216, 5.2)
		iv = binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(s.Number))
	}
	if b, err = decrypt(b, cipherKey, iv); err != nil {
		f.forget(base, s.Key)
	}
	return b, err
}

// forget has a key be fetched again, which may have been replaced under its URL.
func (f *fetcher) forget(base *url.URL, k *m3u8.Key) { delete(f.keys, keyName(base, k)) }

// supported says whether segments under a key can be read.
func supported(k *m3u8.Key) error {
	switch {
	case k == nil:
		return nil
	case k.Method != "AES-128":
		return fmt.Errorf("its segments are %w: %s", errEncrypted, k.Method)
	case k.Format != "":
		return fmt.Errorf("its segments are %w: keys of %s", errEncrypted, k.Format)
	}
	return nil
}

func keyName(base *url.URL, k *m3u8.Key) string {
	u, err := base.Parse(k.URI)
	if err != nil {
		return ""
	}
	return u.String()
}

// key fetches a key, once.
func (f *fetcher) key(ctx context.Context, base *url.URL, k *m3u8.Key) ([]byte, error) {
	name := keyName(base, k)
	if b := f.keys[name]; b != nil {
		return b, nil
	}
	u, err := base.Parse(k.URI)
	if err != nil {
		return nil, redacted(err)
	}
	b, _, err := f.get(ctx, u, m3u8.Range{}, maxKey, 0)
	switch {
	case err != nil:
		return nil, err
	case len(b) != aes.BlockSize:
		return nil, fmt.Errorf("it has %d bytes, want %d", len(b), aes.BlockSize)
	}
	if len(f.keys) >= 64 { // those of the past
		clear(f.keys)
	}
	f.keys[name] = b
	return b, nil
}

// decrypt undoes AES-128 in CBC mode with the padding of PKCS #7 (RFC 8216, 4.3.2.4), in place.
func decrypt(b, key, iv []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	switch {
	case err != nil:
		return nil, err
	case len(b)%aes.BlockSize != 0:
		return nil, fmt.Errorf("%w: %d bytes are no whole blocks", errPadding, len(b))
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(b, b)
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) || strings.Trim(string(b[len(b)-n:]), string(rune(n))) != "" {
		return nil, errPadding
	}
	return b[:len(b)-n], nil
}

// A codedBody is a body whose Content-Encoding has been undone.
type codedBody struct {
	io.Reader
	io.Closer
}

// decoders undo the content codings that have a name (RFC 9110, 8.4.1).
var decoders = map[string]func(*bufio.Reader) (io.Reader, error){"gzip": ungzip, "x-gzip": ungzip, "deflate": undeflate}

// uncoded undoes the Content-Encoding of an answer, which some servers give although none was asked for. Of several the last was applied
// last.
func uncoded(res *http.Response) error {
	list := strings.Split(strings.ToLower(strings.Join(res.Header.Values("Content-Encoding"), ",")), ",")
	body := io.Reader(res.Body)
	for _, name := range slices.Backward(list) {
		name = strings.TrimSpace(name)
		if name == "" || name == "identity" {
			continue
		}
		decoder := decoders[name]
		if decoder == nil {
			return fmt.Errorf("the server answers in the content coding %q, which is not read", name)
		}
		body = &lateDecoder{from: bufio.NewReader(body), decoder: decoder}
	}
	if body != res.Body {
		res.Body = codedBody{body, res.Body}
		res.Header.Del("Content-Encoding")
		res.ContentLength = -1
	}
	return nil
}

// A lateDecoder reads the header of a coding with the first bytes, so that the head of an answer does not wait for them.
type lateDecoder struct {
	from    *bufio.Reader
	decoder func(*bufio.Reader) (io.Reader, error)
	decoded io.Reader
}

func (d *lateDecoder) Read(b []byte) (n int, err error) {
	if d.decoded == nil {
		if d.decoded, err = d.decoder(d.from); err != nil {
			d.decoded = nil
			return 0, err
		}
	}
	return d.decoded.Read(b)
}

// ungzip undoes gzip. What is no gzip is taken for what some servers only say to be coded.
func ungzip(r *bufio.Reader) (io.Reader, error) {
	if head, err := r.Peek(2); err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return r, nil //nolint:nilerr // whoever reads on meets the error
	}
	return gzip.NewReader(r)
}

// undeflate undoes deflate, which is in the zlib format (RFC 1950), or without it as of some servers.
func undeflate(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err != nil {
		return r, nil //nolint:nilerr // whoever reads on meets the error
	}
	if head[0]&0xf == 8 && binary.BigEndian.Uint16(head)%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}
