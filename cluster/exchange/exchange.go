// Package exchange carries questions between nodes for which nobody waits but people at the API: what the streams of a node are
// doing, what is in its file, whether it takes an edit. A question is a POST with JSON to a path of the other node's API URL; both
// sides prove the cluster key, and the JSON is sealed with it, because edits of the file may contain secrets.
//
// It knows neither the questions nor the answers, and no actor: what the control planes ask each other goes through package
// follower.
package exchange

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"weir/cluster/trust"
)

// maxBody is the largest body of a question or an answer, in bytes. The figures of 10,000 streams have 3 MB.
const maxBody = 16 << 20

// Path is the path below which questions are asked.
const Path = "/cluster/ask/"

// A Peer is another node.
type Peer struct {
	Name  string // announced; the entry of a node that was never heard
	Entry string // in the file
	URL   string // of its API, without a path
	Alive bool
}

// An Asker asks other nodes. Any goroutine may use it.
type Asker struct {
	// Peers are the other nodes of the group.
	Peers func() []Peer

	// Client gives the client for a node by its entry. It proves the key of the link, and checks that the node proves it too.
	Client func(entry string) *http.Client

	// Keys are those to prove to a node by its entry. The first seals what it is asked.
	Keys func(entry string) []trust.Keys
}

// A Refusal is the error of a node that was reached and says no.
type Refusal struct {
	Node   string
	Status int
	Text   string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Node + " answers: " + r.Text }

// Ask asks one node a question of a kind. The error is a [Refusal] if the node was reached.
func Ask[A any](ctx context.Context, a *Asker, p Peer, kind string, question any) (answer A, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, fmt.Errorf("asking %s: %w", p.Name, err)
	}
	keys := a.Keys(p.Entry)[:1]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+Path+kind, bytes.NewReader(keys[0].Seal(body)))
	if err != nil {
		return answer, fmt.Errorf("asking %s: %w", p.Name, err)
	}
	res, err := a.Client(p.Entry).Do(req)
	if err != nil {
		return answer, fmt.Errorf("asking %s: %w", p.Name, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return answer, fmt.Errorf("reading the answer of %s: %w", p.Name, err)
	case len(text) > maxBody:
		return answer, fmt.Errorf("the answer of %s has more than %d bytes", p.Name, maxBody)
	case res.StatusCode != http.StatusOK:
		return answer, &Refusal{p.Name, res.StatusCode, cmp.Or(strings.TrimSpace(string(text)), res.Status)}
	}
	if text, _, err = trust.Open(keys, text); err != nil {
		return answer, fmt.Errorf("the answer of %s: %w", p.Name, err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("the answer of %s: %w", p.Name, err)
	}
	return answer, nil
}

// An Answer is what one of several nodes has answered.
type Answer[A any] struct {
	Peer  Peer
	Value A
	Err   error
}

// All asks several nodes the same at the same time, and returns their answers in the order of their names.
func All[A any](ctx context.Context, a *Asker, peers []Peer, kind string, question any) []Answer[A] {
	out := make([]Answer[A], len(peers))
	var asked sync.WaitGroup
	for i, p := range peers {
		asked.Go(func() {
			v, err := Ask[A](ctx, a, p, kind, question)
			out[i] = Answer[A]{p, v, err}
		})
	}
	asked.Wait()
	slices.SortFunc(out, func(a, b Answer[A]) int { return strings.Compare(a.Peer.Name, b.Peer.Name) })
	return out
}

// ErrUnknown is the error of a function of [Answers] that refuses a question; the asker gets its text.
var ErrUnknown = errors.New("this version does not answer that")

// Answers are the functions that answer questions, by kind. The caller guards their handler with the cluster key.
type Answers map[string]func(ctx context.Context, question []byte) (any, error)

// Handler answers questions that are sealed with one of some keys.
func (a Answers) Handler(keys func() []trust.Keys) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, keys()) })
}

func (a Answers) serve(w http.ResponseWriter, r *http.Request, keys []trust.Keys) {
	answer := a[strings.TrimPrefix(r.URL.Path, Path)]
	if answer == nil || r.Method != http.MethodPost {
		http.Error(w, ErrUnknown.Error(), http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	body, key, err := trust.Open(keys, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v, err := answer(r.Context(), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(key.Seal(text)) // an error means that the asker is gone
}

// Answering makes a function of [Answers] from one that takes a question as a Go value.
func Answering[Q, A any](answer func(context.Context, Q) (A, error)) func(context.Context, []byte) (any, error) {
	return func(ctx context.Context, text []byte) (any, error) {
		var q Q
		if err := json.Unmarshal(text, &q); err != nil {
			return nil, fmt.Errorf("the question: %w", err)
		}
		return answer(ctx, q)
	}
}
