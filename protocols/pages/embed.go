package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"

	"weir/protocols/listen"
)

//go:embed embed.html embed.css embed.js
var playerFiles embed.FS

var (
	playerPage   = template.Must(template.ParseFS(playerFiles, "embed.html"))
	playerStyle  = playerFile("embed.css")
	playerScript = playerFile("embed.js")

	// playerPolicy lets the page use its own style and script, and media wherever a balancer's server has it. Any page may show it.
	playerPolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; connect-src *; media-src * blob:; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors *", digest(playerStyle), digest(playerScript))
)

func playerFile(name string) string {
	b, err := playerFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(b)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A Player serves the page embed.html of a stream, which plays it. Whether there is such a stream, and whether the client may watch it,
// the page finds out and says.
type Player struct{}

// ServeStream implements the handler of a stream's files.
func (Player) ServeStream(w http.ResponseWriter, r *http.Request, q listen.Request, _ string) {
	if !listen.Reads(w, r) {
		return
	}
	var b bytes.Buffer
	err := playerPage.Execute(&b, map[string]any{
		"Stream": q.Streams[0], "Style": template.CSS(playerStyle), "Script": template.JS(playerScript), //nolint:gosec // they are this package's own
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", playerPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Cache-Control", "no-cache")
	serve(w, r, ".html", b.Bytes())
}
