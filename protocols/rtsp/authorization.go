package rtsp

import (
	"crypto/md5" //nolint:gosec // what cameras ask for
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// A challenge is how a server asks for a user and password (RFC 7617, RFC 7616).
type challenge struct {
	scheme string            // basic or digest
	values map[string]string // by their names in lower case
	used   int               // how often the nonce was
}

// challenges reads the lines of WWW-Authenticate, each of which may have several challenges, and returns the strongest that can be
// met; nil if none can.
func challenges(lines []string) *challenge {
	var best *challenge
	for _, line := range lines {
		var now *challenge
		for _, part := range quoted(line) {
			name, value, assigned := strings.Cut(part, "=")
			name = strings.TrimSpace(name)
			if scheme, rest, ok := strings.Cut(name, " "); ok || !assigned {
				now = &challenge{scheme: strings.ToLower(scheme), values: map[string]string{}}
				name = strings.TrimSpace(rest)
			}
			if now == nil || name == "" && assigned {
				continue
			}
			if assigned {
				now.values[strings.ToLower(name)] = strings.Trim(strings.TrimSpace(value), `"`)
			}
			if best == nil || now.strength() > best.strength() {
				best = now
			}
		}
	}
	if best == nil || best.strength() == 0 {
		return nil
	}
	return best
}

// quoted splits at commas outside quotes.
func quoted(line string) (parts []string) {
	in, from := false, 0
	for i := range len(line) {
		switch {
		case line[i] == '"':
			in = !in
		case line[i] == ',' && !in:
			parts, from = append(parts, strings.TrimSpace(line[from:i])), i+1
		}
	}
	return append(parts, strings.TrimSpace(line[from:]))
}

// hashes are the algorithms of Digest, by their names without "-sess".
var hashes = map[string]func(string) string{
	"":    md5Hex,
	"MD5": md5Hex,
	"SHA-256": func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	},
}

func md5Hex(s string) string {
	h := md5.Sum([]byte(s)) //nolint:gosec // as above
	return hex.EncodeToString(h[:])
}

func (c *challenge) algorithm() (name string, session bool) {
	return strings.CutSuffix(strings.ToUpper(c.values["algorithm"]), "-SESS")
}

// strength orders the challenges that can be met; zero is one that cannot.
func (c *challenge) strength() int {
	name, _ := c.algorithm()
	switch {
	case c.scheme == "basic":
		return 1
	case c.scheme != "digest" || hashes[name] == nil || c.values["nonce"] == "":
		return 0
	case name == "SHA-256":
		return 3
	}
	return 2
}

// stale says that the server would take the password with another nonce.
func (c *challenge) stale() bool { return strings.EqualFold(c.values["stale"], "true") }

// answer makes the line of Authorization for a request.
func (c *challenge) answer(method, uri string, user *url.Userinfo) string {
	password, _ := user.Password()
	if c.scheme == "basic" {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	}
	name, session := c.algorithm()
	hash, realm, nonce := hashes[name], c.values["realm"], c.values["nonce"]
	c.used++
	count, own := fmt.Sprintf("%08x", c.used), rand.Text()
	secret := hash(user.Username() + ":" + realm + ":" + password)
	if session {
		secret = hash(secret + ":" + nonce + ":" + own)
	}
	quality := ""
	for q := range strings.SplitSeq(c.values["qop"], ",") {
		if strings.EqualFold(strings.TrimSpace(q), "auth") {
			quality = "auth"
		}
	}
	middle := nonce
	if quality != "" {
		middle += ":" + count + ":" + own + ":" + quality
	}
	b := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		user.Username(), realm, nonce, uri, hash(secret+":"+middle+":"+hash(method+":"+uri)))
	if algorithm := c.values["algorithm"]; algorithm != "" {
		b += ", algorithm=" + algorithm
	}
	if opaque, ok := c.values["opaque"]; ok {
		b += fmt.Sprintf(`, opaque="%s"`, opaque)
	}
	if quality != "" {
		b += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s"`, count, own)
	} else if session {
		b += fmt.Sprintf(`, cnonce="%s"`, own)
	}
	return b
}
