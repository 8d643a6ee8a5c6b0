package srs

import "net/http"

// Over makes hooks be sent by t instead of the network. It is called before anything is sent.
func (h *Hooks) Over(t http.RoundTripper) { h.client.Transport = t }
