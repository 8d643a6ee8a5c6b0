package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// BenchCmd is `weir bench`.
type BenchCmd struct {
	Balance BenchBalanceCmd `cmd:"" help:"Send a burst of clients to a balancer and show where they were sent."`
}

// BenchBalanceCmd is `weir bench balance`.
type BenchBalanceCmd struct {
	Node     []string      `default:"http://127.0.0.1:80" env:"WEIR_NODE" placeholder:"URL" help:"HTTP address of a node; several take turns. Default ${default}."`
	Balancer string        `required:"" placeholder:"NAME" help:"The balancer."`
	Stream   string        `required:"" placeholder:"NAME" help:"The stream; %d in it is the number of the request."`
	Form     string        `default:"mpegts" enum:"mpegts,flv,hls,whip,whep" help:"What is asked for: ${enum}. Default ${default}."`
	Requests int           `default:"1000" help:"How many. Default ${default}."`
	Over     time.Duration `default:"1s" help:"In how much time, evenly; 0 is as fast as possible. Default ${default}."`
	Workers  int           `default:"64" help:"How many at a time at most. Default ${default}."`
	From     []string      `placeholder:"ADDRESS" help:"Pretend to be clients of these addresses, in turn. The node believes it if this machine is one of its trusted_proxies."`
	JSON     bool          `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*BenchBalanceCmd) Help() string {
	return `Examples:
  weir bench balance --balancer global --stream cam01
  weir bench balance --node http://n1:8080 --node http://n2:8080 --balancer global --stream cam01 --form hls
  weir bench balance --balancer ingest --stream show%d --form whip --requests 40 --over 2s
  weir bench balance --balancer geo --stream cam01 --from 1.2.3.4 --from 5.6.7.8

Redirects are not followed, so the servers are not asked and their own figures do not change: it is the choice that is
measured, and that choices count before the servers' statistics show them. For hls the playlists are fetched, and the
server is that of the first segment.

Exit codes: 0 every client was given a server; 1 some were not.`
}

// A benchResult is what came of a burst.
type benchResult struct {
	Requests int            `json:"requests"`
	Seconds  float64        `json:"seconds"`
	Servers  map[string]int `json:"servers"` // clients by the host of the server
	Errors   map[string]int `json:"errors"`
	Spread   float64        `json:"spread"` // percent between the most and the fewest clients of a server, of the average

	// Answer times in milliseconds.
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// Run sends the burst.
func (c *BenchBalanceCmd) Run(ctx context.Context, std stdio) error {
	nodes := make([]*url.URL, len(c.Node))
	for i, n := range c.Node {
		var err error
		if nodes[i], err = nodeURL(n); err != nil {
			return err
		}
	}
	if c.Requests < 1 || c.Workers < 1 {
		return &exitError{exitConfig, errors.New("--requests and --workers: expected a number above 0")}
	}
	r := c.burst(ctx, nodes)
	var err error
	if c.JSON {
		err = json.NewEncoder(std.out).Encode(r)
	} else {
		err = r.print(std.out)
	}
	switch {
	case err != nil:
		return fmt.Errorf("printing the result: %w", err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(r.Errors) > 0:
		return errors.New("some clients were not given a server")
	}
	return nil
}

// A benchAnswer is what one client got.
type benchAnswer struct {
	server string
	took   time.Duration
	err    error
}

// burst sends all requests and collects what comes of them.
func (c *BenchBalanceCmd) burst(ctx context.Context, nodes []*url.URL) *benchResult {
	client := &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Workers, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	numbers, answers := make(chan int), make(chan benchAnswer, c.Workers)
	var workers sync.WaitGroup
	for range min(c.Workers, c.Requests) {
		workers.Go(func() {
			for i := range numbers {
				start := time.Now()
				server, err := c.ask(ctx, client, nodes[i%len(nodes)], i)
				answers <- benchAnswer{server, time.Since(start), err}
			}
		})
	}
	start := time.Now()
	go func() {
		defer close(numbers)
		for i := range c.Requests {
			due := start.Add(time.Duration(float64(c.Over) * float64(i) / float64(c.Requests)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
			select {
			case numbers <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		workers.Wait()
		close(answers)
	}()
	r := &benchResult{Servers: map[string]int{}, Errors: map[string]int{}}
	var times []time.Duration
	for a := range answers {
		r.Requests++
		times = append(times, a.took)
		if a.err != nil {
			r.Errors[a.err.Error()]++
		} else {
			r.Servers[a.server]++
		}
	}
	r.Seconds = time.Since(start).Seconds()
	r.finish(times)
	return r
}

// finish reckons the spread and the answer times.
func (r *benchResult) finish(times []time.Duration) {
	most, fewest, sum := 0, 0, 0
	for _, n := range r.Servers {
		if most = max(most, n); fewest == 0 || n < fewest {
			fewest = n
		}
		sum += n
	}
	if sum > 0 {
		r.Spread = 100 * float64(most-fewest) * float64(len(r.Servers)) / float64(sum)
	}
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	at := func(q float64) float64 {
		return float64(times[min(len(times)-1, int(q*float64(len(times))))].Microseconds()) / 1000
	}
	r.P50, r.P90, r.P99, r.Max = at(0.5), at(0.9), at(0.99), at(1)
}

// ask is one client: it gives the host of the server to which it is led.
func (c *BenchBalanceCmd) ask(ctx context.Context, client *http.Client, node *url.URL, i int) (string, error) {
	stream := strings.ReplaceAll(c.Stream, "%d", fmt.Sprint(i))
	method, file := http.MethodHead, "/"+c.Form // with HEAD nobody sends media
	var body io.Reader
	switch c.Form {
	case "flv":
		file = ".flv"
	case "hls":
		method, file = http.MethodGet, "/index.m3u8"
	case "whip", "whep":
		method, body = http.MethodPost, strings.NewReader("v=0\r\n")
	}
	u := node.JoinPath(url.PathEscape(c.Balancer), (&url.URL{Path: stream}).EscapedPath()+file)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if len(c.From) > 0 {
		req.Header.Set("X-Forwarded-For", c.From[i%len(c.From)])
	}
	if c.Form == "hls" {
		return throughPlaylists(client, req)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", plainError(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // so that the connection is used again
	_ = res.Body.Close()
	switch to, err := res.Location(); {
	case err == nil:
		return to.Host, nil
	case res.StatusCode == http.StatusServiceUnavailable, res.StatusCode == http.StatusNotFound:
		return "", errors.New(res.Status)
	}
	return u.Host, nil // the node serves it itself, or says why not
}

// throughPlaylists goes from the multivariant playlist to the first segment and gives its host.
func throughPlaylists(client *http.Client, req *http.Request) (string, error) {
	for range 2 {
		res, err := client.Do(req)
		if err != nil {
			return "", plainError(err)
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		_ = res.Body.Close()
		switch {
		case err != nil:
			return "", plainError(err)
		case res.StatusCode != http.StatusOK:
			return "", errors.New(res.Status)
		}
		uri := ""
		for lines := bufio.NewScanner(strings.NewReader(string(body))); uri == "" && lines.Scan(); {
			if t := lines.Text(); t != "" && t[0] != '#' {
				uri = t
			}
		}
		next, err := req.URL.Parse(uri)
		if err != nil || uri == "" {
			return "", errors.New("a playlist without URIs")
		}
		from := req.Header
		req = req.Clone(req.Context())
		req.URL, req.Host, req.Header = next, next.Host, from
	}
	return req.URL.Host, nil
}

// plainError is an error without the URL, so that equal ones are counted together.
func plainError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// print writes the result for people.
func (r *benchResult) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	sum := 0
	for _, n := range r.Servers {
		sum += n
	}
	fmt.Fprintf(t, "server\tclients\tshare\t\n")
	for _, s := range slices.Sorted(maps.Keys(r.Servers)) {
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\t\n", s, r.Servers[s], 100*float64(r.Servers[s])/float64(sum))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for what, n := range r.Errors {
		if _, err := fmt.Fprintf(out, "%d × %s\n", n, what); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d requests in %.2f s, spread %.1f %%; answered in %.1f ms (half), %.1f ms (90 %%), %.1f ms (99 %%), %.1f ms at most\n",
		r.Requests, r.Seconds, r.Spread, r.P50, r.P90, r.P99, r.Max)
	return err
}
