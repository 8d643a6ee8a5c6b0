package srs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ClustersPath is where coworkers ask each other.
const ClustersPath = "/api/v1/clusters"

// A question is what one coworker asks another: do you have this stream?
type question struct {
	place    Place
	ip       string // the host under which the client came to the asker
	coworker string // what the asker calls the coworker that it asks
}

// query is the question as SRS writes it: in this order, and nothing escaped.
func (q question) query() string {
	return "vhost=" + q.place.Vhost + "&ip=" + q.ip + "&app=" + q.place.App + "&stream=" + q.place.Stream + "&coworker=" + q.coworker
}

// readQuestion reads a query that is not escaped.
func readQuestion(query string) question {
	var q question
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "vhost":
			q.place.Vhost = value
		case "ip":
			q.ip = value
		case "app":
			q.place.App = value
		case "stream":
			q.place.Stream = value
		case "coworker":
			q.coworker = value
		}
	}
	return q
}

// answerTo makes the body of an answer; host is empty if no node has the stream.
func answerTo(q question, host string, port int) object {
	var origin any // null: the stream is not here
	if host != "" {
		origin = object{
			{"ip", host}, {"port", port}, {"vhost", q.place.Vhost}, {"api", q.coworker}, {"routers", []string{q.coworker}},
		}
	}
	query := object{{"ip", q.ip}, {"vhost", q.place.Vhost}, {"app", q.place.App}, {"stream", q.place.Stream}}
	return object{{"code", 0}, {"data", object{{"query", query}, {"origin", origin}}}}
}

// An object is a JSON object whose fields have the order in which SRS writes them.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON implements [json.Marshaler].
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, compact(f.name)...), ':'), compact(f.value)...)
	}
	return append(b, '}'), nil
}

// compact is JSON as SRS writes it: without spaces, and without the escapes that are for HTML.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers, all of them finite
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// errNowhere says that a coworker does not have the stream.
var errNowhere = errors.New("it does not have the stream")

// readAnswer gives the RTMP address in an answer. It accepts what SRS accepts: the rest of the fields may be missing.
func readAnswer(body []byte) (addr string, err error) {
	var a struct {
		Code *json.Number               `json:"code"`
		Data map[string]json.RawMessage `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	if a.Code == nil {
		return "", errors.New("the answer has no code")
	}
	if code, err := a.Code.Int64(); err != nil || code != 0 {
		return "", fmt.Errorf("the answer has the code %s", *a.Code)
	}
	raw, ok := a.Data["origin"]
	if !ok || string(raw) == "null" {
		return "", errNowhere
	}
	var o struct {
		IP   *string      `json:"ip"`
		Port *json.Number `json:"port"`
	}
	if err := json.Unmarshal(raw, &o); err != nil || o.IP == nil || o.Port == nil {
		return "", fmt.Errorf("the answer names no origin: %.100s", raw)
	}
	port, err := o.Port.Int64()
	if err != nil || *o.IP == "" || port <= 0 || port > 65535 {
		return "", fmt.Errorf("the answer names no origin: %.100s", raw)
	}
	if strings.ContainsAny(*o.IP, "/?#@ ") {
		return "", fmt.Errorf("the answer names no host: %.100s", *o.IP)
	}
	return net.JoinHostPort(strings.Trim(*o.IP, "[]"), strconv.FormatInt(port, 10)), nil
}
