package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"weir/protocols"
)

// DefaultACMEStore is the directory of the certificates that an authority has issued.
const DefaultACMEStore = "/var/lib/weir/acme"

// A Certificate names the files of a certificate and of its key, which may be one.
type Certificate struct {
	File, Key string
	Pos       Pos
}

// An ACME says for which names of this node an authority is to issue certificates, and how it is asked.
type ACME struct {
	Names     []string // in lower case, in the order of the file; empty means that none is asked for
	Email     string   // empty for none
	Directory string   // the URL of the authority; empty for Let's Encrypt
	Store     string   // the directory in which keys and certificates are kept
}

var tlsDirectives = []directive{
	{
		name: "certificate", in: inFile, many: true, value: certificateValue, reload: AtOnce, defaultWords: "none",
		example: "/etc/weir/live.example.com.pem /etc/weir/live.example.com.key",
		flag: &nodeFlag{
			placeholder: "FILE", entry: certificateFlag, perLine: true,
			help: "A certificate, with those that lead from it to its authority, and, behind a space unless the same file has it, its key. In the variable: one per line.",
		},
		doc: "A certificate with which this node speaks TLS, followed in its file by those that lead from it to its authority, and the file of its key, if that is another (PEM). Of several, a client gets the first that has the name it asks for (SNI), else the first. Files that change are read again.",
	},
	{
		name: "letsencrypt", in: inFile, many: true, reload: AtOnce, defaultWords: "none", example: "live.example.com tv.example.com",
		value: listOf("NAME …", 1, func(f *File) *[]string { return &f.ACME.Names }, true, maxServers, parsePublicName, asIs),
		doc:   "Public names of this node for which Let's Encrypt, whose terms this accepts, or another authority with ACME issues certificates. It checks by port 80 (http) or 443 (https) that a name leads to this node.",
	},
	{
		name: "letsencrypt_email", in: inFile, reload: Restart, defaultWords: "none", example: "admin@example.com",
		value: text("ADDRESS", func(f *File) *string { return &f.ACME.Email }, plainLine),
		doc:   "The address to which the authority of letsencrypt writes.",
	},
	{
		name: "letsencrypt_directory", in: inFile, reload: Restart, defaultWords: "that of Let's Encrypt", example: "https://acme.example.com/directory",
		value: text("URL", func(f *File) *string { return &f.ACME.Directory }, checkHTTPS),
		doc:   "Another authority with ACME than Let's Encrypt; trusted_ca may prove it.",
	},
	{
		name: "letsencrypt_store", in: inFile, reload: Restart, omitDefault: true, example: "/srv/acme",
		value: single("DIRECTORY", func(f *File) *string { return &f.ACME.Store }, DefaultACMEStore, func(s string) (string, error) { return s, plainLine(s) }, asIs),
		doc:   "Directory that keeps the keys and certificates of letsencrypt.",
	},
	{
		name: "trusted_ca", in: inFile, many: true, reload: Restart, defaultWords: "those of this machine alone", example: "/etc/weir/ca.pem",
		value: listOf("FILE", 1, func(f *File) *[]string { return &f.TrustedCA }, false, maxServers, func(s string) (string, error) { return s, plainLine(s) }, asIs),
		doc:   "File of authorities that this node trusts, besides those of the machine, when it asks other nodes over https, fetches inputs over https, rtmps or rtsps, or asks the authority of letsencrypt (PEM).",
	},
	{
		name: "trusted_ca", in: inInput, reload: Restream, defaultWords: "those of this machine and of trusted_ca at the top of the file", example: "/etc/weir/cameras.pem",
		value: text("FILE", func(in *Input) *string { return &in.TrustedCA }, plainLine),
		doc:   "File of authorities that prove the server of this input too, if it is fetched over https, rtmps or rtsps (PEM).",
	},
}

// certificateValue is the file of a certificate and that of its key.
var certificateValue = value{
	args: "FILE [KEYFILE]", min: 1, max: 2,
	read: func(r *reader, b *block, c *call) {
		for _, w := range c.args {
			if err := plainLine(w.text); err != nil {
				r.refuse(w.pos, c.name, err)
				return
			}
		}
		list := &part[*File](b).Certificates
		*list = append(*list, Certificate{File: c.args[0].text, Key: c.args[len(c.args)-1].text, Pos: c.pos})
	},
	take: func(to, from *block) { part[*File](to).Certificates = part[*File](from).Certificates },
	lines: func(b *block) (lines [][]string) {
		for _, c := range part[*File](b).Certificates {
			words := []string{c.File, c.Key}
			if c.Key == c.File {
				words = words[:1]
			}
			lines = append(lines, words)
		}
		return lines
	},
}

// certificateFlag reads FILE or FILE KEYFILE.
func certificateFlag(text string, at Pos) (*entry, *Problem) {
	e := &entry{name: "certificate", pos: at}
	for w := range strings.FieldsSeq(text) {
		e.words = append(e.words, word{text: w, pos: at})
	}
	return e, nil
}

// parsePublicName reads a host name for which an authority may issue a certificate.
func parsePublicName(text string) (string, error) {
	name, err := parseHost(text)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") {
		return "", fmt.Errorf("found %s, expected a public host name such as live.example.com", quote(text))
	}
	return name, nil
}

func checkHTTPS(s string) error {
	if !strings.HasPrefix(s, "https://") {
		return errors.New("found a URL that does not begin with https://, expected one")
	}
	return plainLine(s)
}

// finishTLS refuses listeners that speak TLS without a certificate, and an authority that could not check a name.
func (r *reader) finishTLS() {
	f := r.file
	if len(f.ACME.Names) > 0 && len(f.Listeners[protocols.HTTP]) == 0 && len(f.Listeners[protocols.HTTPS]) == 0 {
		r.errorf(r.top.where("letsencrypt"), "found `letsencrypt` without a listener, expected `http 80;` or `https 443;`, by which the authority checks the name")
	}
	if len(f.Certificates) > 0 || len(f.ACME.Names) > 0 {
		return
	}
	for _, d := range protocols.Listeners() {
		if list := f.Listeners[d.Protocol]; d.Plain != "" && len(list) > 0 {
			r.errorf(list[0].Pos, "found `%s %s` without a certificate, expected `certificate FILE KEYFILE;` or `letsencrypt NAME;`", d.Directive(), list[0].words())
		}
	}
}
