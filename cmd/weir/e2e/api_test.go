//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The generator of clients, and the library that they use. They are fetched into a module of the test's own.
const (
	clientGenerator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	clientRuntime   = "github.com/oapi-codegen/runtime@v1.9.0"
)

// clientProgram makes a stream by the generated client, and prints what the node says of it.
const clientProgram = `package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"client/weir"
)

func main() {
	c, err := weir.NewClientWithResponses(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	title := "made by a client"
	stream := weir.PutStreamJSONRequestBody{Title: &title}
	if err := json.Unmarshal([]byte("[{\"url\":\"fake://x\"}]"), &stream.Inputs); err != nil {
		log.Fatal(err)
	}
	put, err := c.PutStreamWithResponse(ctx, "made/by/client", nil, stream)
	if err != nil || put.JSON200 == nil {
		log.Fatalf("put: %v %s", err, put.Body)
	}
	like := "made"
	list, err := c.ListStreamsWithResponse(ctx, &weir.ListStreamsParams{NameLike: &like})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Streams) != 1 {
		log.Fatalf("list: %v %s", err, list.Body)
	}
	fmt.Println(list.JSON200.Streams[0].Name, *list.JSON200.Streams[0].Title)
}
`

// TestClientThatIsGeneratedFromTheDocumentWorks generates a client of the OpenAPI document, compiles it, and makes a stream by it.
func TestClientThatIsGeneratedFromTheDocumentWorks(t *testing.T) {
	c := start(t, 1, func(int, []int) string { return "stream a { input fake://fake; }\n" })
	n := c.nodes[0]
	var document []byte
	eventually(t, 20*time.Second, "the node shows its document", func() error {
		res, err := http.Get("http://" + n.http + "/streamer/api/v3/openapi.json")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if document, err = io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %w", res.Status, err)
		}
		return nil
	})
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", cmd, err, out, said.Bytes())
		}
		return string(out)
	}
	write("go.mod", "module client\n\ngo 1.26.0\n")
	write("openapi.json", string(document))
	if err := os.Mkdir(filepath.Join(dir, "weir"), 0o755); err != nil {
		t.Fatal(err)
	}
	run("go", "run", clientGenerator, "-generate", "types,client", "-package", "weir", "-o", "weir/weir.go", "openapi.json")
	run("go", "get", clientRuntime)
	write("main.go", clientProgram)
	if said := run("go", "run", ".", "http://"+n.http); strings.TrimSpace(said) != "made/by/client made by a client" {
		t.Errorf("the client says %q", said)
	}
	if text, err := os.ReadFile(n.args[2]); err != nil || !strings.Contains(string(text), "stream made/by/client {\n    input fake://x;\n    title \"made by a client\";\n}\n") {
		t.Errorf("the file: %s, %v", text, err)
	}
}
