// Package pages serves the pages that operators look at. They are shells of HTML whose small modules ask the API of the node that
// serves them, in the browser, for all that they show; nothing else is asked, and nothing has to be built.
//
// It knows no cluster and no stream, and has no figures of its own.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"mime"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
)

// Prefix begins the paths of all pages but the first, which is at "/".
const Prefix = "/streamer/pages/"

// Config is what the pages are told.
type Config struct {
	// MaySee says whether a request may see the node; the error is for the client, with the status that goes with it.
	MaySee func(*http.Request) (status int, err error)

	// Ports are those at which the node listens.
	Ports func() protocols.Ports
}

//go:embed page.html assets
var files embed.FS

var layout = template.Must(template.ParseFS(files, "page.html"))

// A page is a shell with the module that fills it.
type page struct{ Path, Title, Script string }

// listed are the pages that can be gone to from each.
var listed = []page{
	{"/", "Overview", "overview.js"},
	{Prefix + "streams", "Streams", "streams.js"},
}

// others are the pages to which those lead.
var others = []page{{streamPage, "Stream", "stream.js"}}

// streamPage is the path of the page of one stream, which the parameter name names.
const streamPage = Prefix + "stream"

// policy lets a page use nothing but what its node serves, and be shown in no other page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves "/" and everything below [Prefix].
func Handler(c Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "expected GET or HEAD here", http.StatusMethodNotAllowed)
			return
		}
		if status, err := c.MaySee(r); err != nil {
			if status == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", `Basic realm="weir"`)
			}
			http.Error(w, err.Error(), status)
			return
		}
		if name, ok := strings.CutPrefix(r.URL.Path, Prefix+"assets/"); ok {
			serveAsset(w, r, name)
			return
		}
		for _, p := range append(listed, others...) {
			if p.Path == r.URL.Path {
				servePage(w, r, c, p)
				return
			}
		}
		http.NotFound(w, r)
	})
}

func servePage(w http.ResponseWriter, r *http.Request, c Config, p page) {
	var b bytes.Buffer
	heading, urls := p.Title, []streamURL(nil)
	if p.Path == streamPage {
		heading = r.URL.Query().Get("name")
		urls = urlsOf(r, c.Ports(), heading)
	}
	err := layout.Execute(&b, map[string]any{
		"Title": p.Title, "Heading": heading, "Script": p.Script, "Pages": listed, "URLs": urls,
	})
	if err != nil { // of a buffer and a template that is tested
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	serve(w, r, ".html", b.Bytes())
}

// A streamURL is where a stream is to be had in one form.
type streamURL struct{ Title, URL string }

// urlsOf are the URLs of a stream at the node that was asked, under the name by which it was asked and with TLS if it was.
func urlsOf(r *http.Request, ports protocols.Ports, stream string) (list []streamURL) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	for _, d := range protocols.All() {
		if d.Path == "" {
			continue
		}
		by := protocols.Of(d.Listener)
		if secure := protocols.OverTLS(d.Listener); r.TLS != nil && *ports.At(secure.Protocol) != 0 {
			by = secure
		}
		port := *ports.At(by.Protocol)
		if port == 0 {
			continue
		}
		at := net.JoinHostPort(host, strconv.Itoa(port))
		if port == by.Port {
			at = strings.TrimSuffix(at, ":"+strconv.Itoa(port))
		}
		_, rest, _ := strings.Cut(d.URL(at, stream), "://")
		list = append(list, streamURL{d.Title, string(by.Protocol) + "://" + rest})
	}
	return list
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	b, err := files.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	serve(w, r, path.Ext(name), b)
}

// serve answers with a file, or that the client has it already.
func serve(w http.ResponseWriter, r *http.Request, extension string, b []byte) {
	w.Header().Set("Content-Type", mime.TypeByExtension(extension))
	w.Header().Set("ETag", fmt.Sprintf("\"%x\"", sha256.Sum256(b))[:20]+"\"")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
