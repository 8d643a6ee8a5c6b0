package srs

import "net/http"

// Over makes hooks be sent by t instead of the network. It is called before anything is sent.
func (h *Hooks) Over(t http.RoundTripper) { h.client.Transport = t }

// Server and Service are what hooks say of the node and of this run of it.
func (h *Hooks) Server() string  { return h.server }
func (h *Hooks) Service() string { return h.service }
