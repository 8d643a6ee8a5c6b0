package main

import (
	"fmt"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// CompletionCmd is `weir completion`.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help implements [kong.HelpProvider].
func (*CompletionCmd) Help() string {
	return `Examples:
  source <(weir completion bash)
  source <(weir completion zsh)
  weir completion fish | source

It prints what makes the shell complete commands and flags of weir; put the line into the file that the shell reads at its
start, such as ~/.bashrc.`
}

// Run prints the code for a shell.
func (c *CompletionCmd) Run(ctx *kong.Context) error {
	if err := (&kongcompletion.Completion{Shell: c.Shell, Code: true}).Run(ctx); err != nil {
		return fmt.Errorf("making the completion for %s: %w", c.Shell, err)
	}
	return nil
}
