// Command weir runs a node of a live-streaming cluster, checks its configuration, and shows a whole cluster on one
// machine.
//
// It holds the command line, the log and the exit codes, and knows nothing of media or clusters: what a node is made
// of, cluster/node assembles.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// The exit codes. Scripts and service managers rely on them: after a configuration error a restart is useless.
const (
	exitOK      = 0
	exitFailure = 1 // something failed at run time, such as a port in use
	exitConfig  = 2 // the command line or the configuration is wrong; nothing was started
)

// An exitError ends the program with a code. One without an error has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// A stdio is where a command writes.
type stdio struct {
	in       io.Reader
	out, err *os.File
}

func main() {
	os.Exit(run(os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run carries out a command line and gives the exit code. The first interrupt or SIGTERM asks the command to end, the
// second ends the process.
func run(args []string, std stdio) int {
	exited := -1 // set by --help, which kong ends by itself
	parser, err := newParser(std, &cli{}, func(code int) { exited = code })
	if err != nil {
		report(std, err)
		return exitFailure
	}
	kongcompletion.Register(parser) // a shell that asks for completions is answered here, and the process ends
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		report(std, fmt.Errorf("%w; see `weir --help`", err))
		return exitConfig
	}
	ctx, stop := untilSignal()
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return code(std, parsed.Run(std))
}

// errTerminated is why the context of a command ended that got SIGTERM rather than an interrupt.
var errTerminated = errors.New("terminated")

// untilSignal gives a context that ends with the first interrupt or SIGTERM; from then on they do what the system does
// with them.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == syscall.SIGTERM {
				cancel(errTerminated)
			}
			cancel(errors.New(s.String()))
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// code reports an error and gives its exit code.
func code(std stdio, err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		report(std, err)
		return exitFailure
	}
	if e.err != nil {
		report(std, e.err)
	}
	return e.code
}

// report writes an error line.
func report(std stdio, err error) {
	p := painter{colour: isTerminal(std.err)}
	_, _ = fmt.Fprintf(std.err, "weir: %s%v\n", p.red("error: "), err)
}

const description = `weir turns several machines into one live-streaming server.

Examples:
  weir demo
  weir check weir.conf
  weir node --config weir.conf

Exit codes: 0 done; 1 something failed at run time, such as a port in use; 2 the command line or the configuration is
wrong.`

// newParser makes the parser that fills c from a command line. Exit is called instead of ending the process.
func newParser(std stdio, c *cli, exit func(int)) (*kong.Kong, error) {
	c.Node.Settings, c.Check.Settings = newSettings(), newSettings()
	return kong.New(c,
		kong.Name("weir"),
		kong.Description(description),
		kong.Vars{"version": version()},
		kong.Writers(std.out, std.err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
}
