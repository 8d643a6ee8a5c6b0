package main

import "context"

// Run starts the demonstration and returns when it has ended.
func (c *DemoCmd) Run(ctx context.Context, std stdio) error {
	return runDemo(ctx, c, std.out, newLogger(std.err, c.Log))
}
