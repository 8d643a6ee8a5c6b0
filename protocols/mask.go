package protocols

import (
	"net/url"
	"strings"
)

// Mask is shown in place of a secret.
const Mask = "****"

// harmless are the parameters whose values are shown: those that say what is meant and not who asks. All others may be secret.
var harmless = map[string]bool{
	"stream": true, "app": true, "vhost": true, "domain": true, "weir_hops": true, "program": true, "transport": true, "start": true, "count": true, "rpc": true,
}

// MaskURLs hides, in any text, what may be a secret in its URLs, wherever it stands there: the user, values of parameters behind a
// question mark, number sign or semicolon, whatever their names are and however they are written, and parts of the path that are
// assignments or look signed. Names of streams with parameters, which are no complete URLs, are treated in the same way. In JSON,
// all that is hidden is inside of strings. Masking a text twice changes nothing more.
func MaskURLs(text string) string {
	if !strings.Contains(text, "://") && !strings.ContainsRune(text, '?') {
		return text
	}
	var b strings.Builder
	for text != "" {
		end := strings.IndexFunc(text, between)
		if end < 0 {
			end = len(text)
		}
		word := strings.TrimRight(text[:end], `\`) // in JSON they belong to the quotation mark behind them
		b.WriteString(maskWord(word))
		b.WriteString(text[len(word):end])
		if end < len(text) {
			b.WriteByte(text[end]) // all that stands between words is ASCII
			end++
		}
		text = text[end:]
	}
	return b.String()
}

// between says whether a character ends a URL in a text.
func between(r rune) bool { return r <= ' ' || strings.ContainsRune("\"'`<>|", r) }

// maskWord masks a word, which may be a URL.
func maskWord(word string) string {
	at := strings.Index(word, "://")
	if at < 0 {
		path, query, has := strings.Cut(word, "?")
		if !has || !strings.Contains(query, "=") && len(query) < leastSigned {
			return word
		}
		return path + "?" + maskParameters(query)
	}
	head, rest := word[:at+3], word[at+3:]
	if scheme := strings.TrimRight(head, ":/"); strings.HasSuffix(scheme, "fake") || strings.HasSuffix(scheme, "file") {
		return word // it never leaves the machine
	}
	rest = maskUser(rest)
	end := strings.IndexAny(rest, "?#")
	if end < 0 {
		return head + maskPath(rest)
	}
	return head + maskPath(rest[:end]) + rest[end:end+1] + maskParameters(rest[end+1:])
}

// maskUser hides the user in what stands behind the scheme. A password may hold what would have to be escaped there.
func maskUser(rest string) string {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		_, port, has := strings.Cut(rest[:end], ":")
		if !has || strings.Trim(port, "0123456789") == "" || strings.HasPrefix(rest, "[") {
			return rest // it is a host
		}
		if at = strings.LastIndexByte(rest, '@'); at < 0 {
			return rest
		}
	}
	if user, _, has := strings.Cut(rest[:at], ":"); has {
		return user + ":" + Mask + rest[at:]
	}
	return Mask + rest[at:]
}

// maskPath hides the parts of a path, which begins with the host, that are secrets.
func maskPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts[1:] {
		pieces := strings.Split(p, ";")
		for j, piece := range pieces {
			if name, _, has := cutAssignment(piece); has {
				pieces[j] = name + "=" + Mask
			} else if signed(piece) {
				pieces[j] = Mask
			}
		}
		parts[i+1] = strings.Join(pieces, ";")
	}
	return strings.Join(parts, "/")
}

// maskParameters hides the values of a query's parameters, however they are separated.
func maskParameters(query string) string {
	var b strings.Builder
	for query != "" {
		end, width := len(query), 0
		for _, sep := range []string{"&", ";", "?", "#", `\u0026`} {
			if i := strings.Index(query[:end], sep); i >= 0 {
				end, width = i, len(sep)
			}
		}
		b.WriteString(maskParameter(query[:end]))
		b.WriteString(query[end : end+width])
		query = query[end+width:]
	}
	return b.String()
}

func maskParameter(p string) string {
	name, value, has := cutAssignment(p)
	switch {
	case !has && len(p) < leastSigned, has && (value == "" || harmless[strings.ToLower(name)] || small(value)):
		return p
	case !has:
		return Mask
	}
	return name + "=" + Mask
}

// small says whether a value is a number too small to keep anybody away.
func small(value string) bool { return len(value) <= 3 && strings.Trim(value, "0123456789") == "" }

// cutAssignment cuts NAME=VALUE, where the sign may be escaped.
func cutAssignment(text string) (name, value string, has bool) {
	if name, value, has = strings.Cut(text, "="); has {
		return name, value, true
	}
	if i := strings.Index(strings.ToLower(text), "%3d"); i >= 0 {
		return text[:i], text[i+3:], true
	}
	return text, "", false
}

// leastSigned is the length from which a part of a URL without a name may be a token: names of streams are shorter, or are made of
// words.
const leastSigned = 20

// signed says whether a part of a path looks like a token that somebody has signed: a JSON Web Token (RFC 7519), or a sum as
// hexadecimal digits or base64.
func signed(part string) bool {
	if plain, err := url.PathUnescape(part); err == nil {
		part = plain
	}
	if strings.HasPrefix(part, "eyJ") && strings.Count(part, ".") >= 1 {
		return true
	}
	part = strings.TrimRight(part, "=")
	if strings.Trim(part, "0123456789abcdefABCDEF") == "" {
		return len(part) >= 32 && strings.ContainsAny(part, "0123456789")
	}
	if strings.Trim(part, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_+") != "" {
		return false
	}
	changes, before := 0, 0
	for _, r := range part { // words change the kind of their characters seldom
		kind := 0
		switch {
		case r >= '0' && r <= '9':
			kind = 1
		case r >= 'A' && r <= 'Z':
			kind = 2
		case r >= 'a' && r <= 'z':
			kind = 3
		}
		if kind != 0 && kind != before {
			changes++
			before = kind
		}
	}
	return len(part) >= leastSigned && changes*3 > len(part)
}
