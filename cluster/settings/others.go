package settings

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"weir/cluster/exchange"
	"weir/protocols/api"
)

// The kinds of questions that nodes ask each other about their files.
const (
	asksShared  = "settings/shared"
	asksPrepare = "settings/prepare"
	asksCommit  = "settings/commit"
	asksRestore = "settings/restore"
)

// asking is how long another node may take to look at its file, and working to write it and to put it into effect, on a machine that is
// busy or has a slow disk.
const (
	asking  = 5 * time.Second
	working = 20 * time.Second
)

// The questions and answers of nodes about their files.
type (
	// A shared answer has what the nodes have to share.
	shared struct {
		Version string   `json:"version"`
		Lines   []string `json:"lines"`
	}

	// A proposal is an edit of another node, with the name of that node. The versions are those for which it was prepared; empty while
	// it is prepared.
	proposal struct {
		Edit api.Edit `json:"edit"`
		By   string   `json:"by"`
		From string   `json:"from,omitempty"`
		To   string   `json:"to,omitempty"`
	}

	// A prepared answer says which version a file has, and which it would have.
	prepared struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
)

// An edited node is another one that takes part in an edit.
type edited struct {
	peer         exchange.Peer
	is           prepared
	status, text string
}

// Answers are the questions of other nodes that the settings answer.
func (s *Settings) Answers() exchange.Answers {
	return exchange.Answers{
		asksShared: exchange.Answering(func(context.Context, struct{}) (a shared, err error) {
			text, version, err := s.read()
			if err != nil {
				return a, err
			}
			a.Version = version
			a.Lines, err = s.sharedLines(text, version)
			return a, err
		}),
		asksPrepare: exchange.Answering(func(ctx context.Context, p proposal) (prepared, error) {
			// An edit of this node that has written nothing is refused by that node, so that it ends soon. Of two nodes that ask
			// each other, the edit of the one with the first name is made.
			own := s.cfg.Node()
			if err := s.admit(ctx, asking/2, func(writes bool) bool { return !writes && p.By < own }); err != nil {
				return prepared{}, err
			}
			s.turn.end()
			c, err := s.prepare(p.Edit)
			var missing *api.EditError
			if p.Edit.Delete && errors.As(err, &missing) && missing.Status == http.StatusNotFound {
				return prepared{c.from, c.from}, nil // the file is already as it would be
			}
			return prepared{c.from, c.to}, err
		}),
		asksCommit: exchange.Answering(func(ctx context.Context, p proposal) (prepared, error) {
			if err := s.admit(ctx, asking, func(writes bool) bool { return !writes }); err != nil {
				return prepared{}, err
			}
			defer s.turn.end()
			s.turn.write()
			if _, version, err := s.read(); err == nil && version == p.To && p.From != p.To {
				_, err = s.cfg.Apply(context.WithoutCancel(ctx)) // the nodes read one file, and the other one has written it
				return prepared{p.From, p.To}, err
			}
			c, err := s.prepare(p.Edit)
			switch {
			case err != nil:
				return prepared{}, err
			case c.from != p.From:
				return prepared{}, errors.New("its file has changed meanwhile")
			}
			if _, err = s.commit(context.WithoutCancel(ctx), c); err != nil {
				return prepared{}, err
			}
			s.tell(p.Edit, "edited", "info", "")
			return prepared{c.from, c.to}, nil
		}),
		asksRestore: exchange.Answering(func(ctx context.Context, p prepared) (prepared, error) {
			if err := s.turn.take(ctx, always); err != nil {
				return prepared{}, err
			}
			defer s.turn.end()
			s.turn.write()
			now, version, err := s.read()
			if err != nil {
				return prepared{}, err
			}
			if version == p.From {
				_, err = s.cfg.Apply(context.WithoutCancel(ctx)) // likewise
				return p, err
			}
			before, ok := s.text(p.From)
			if !ok || version != p.To {
				return prepared{}, errors.New("its file has changed meanwhile")
			}
			return p, s.restore(context.WithoutCancel(ctx), change{before: before, after: now})
		}),
	}
}

// admit lets an edit of another node take its turn here, after limit at the latest.
func (s *Settings) admit(ctx context.Context, limit time.Duration, wait func(writes bool) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.turn.take(ctx, wait); err != nil {
		return fmt.Errorf("another edit is under way at %s", s.cfg.Node())
	}
	return nil
}

// prepareOthers asks the other nodes whether their files take an edit. A node that is not reached is left out; one that refuses
// keeps the edit from being made.
func (s *Settings) prepareOthers(ctx context.Context, e api.Edit) (out []*edited, err error) {
	e.Base, e.Scope = "", "node"
	var live []exchange.Peer
	for _, p := range s.cfg.Others.Peers() {
		if p.Alive {
			live = append(live, p)
			continue
		}
		out = append(out, &edited{peer: p, status: "unreachable", text: "the node is not alive"})
	}
	asked, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	var refused []api.Problem
	for _, a := range exchange.All[prepared](asked, s.cfg.Others, live, asksPrepare, proposal{Edit: e, By: s.cfg.Node()}) {
		var r *exchange.Refusal
		switch {
		case errors.As(a.Err, &r):
			refused = append(refused, api.Problem{Path: a.Peer.Name, Severity: "error", Text: r.Text})
		case a.Err != nil:
			out = append(out, &edited{peer: a.Peer, status: "unreachable", text: a.Err.Error()})
		case a.Value.From == a.Value.To:
			out = append(out, &edited{peer: a.Peer, status: "unchanged"})
		default:
			out = append(out, &edited{peer: a.Peer, is: a.Value})
		}
	}
	if len(refused) > 0 {
		return nil, &api.EditError{Status: http.StatusConflict, Failure: api.Failure{
			Error: "nothing was changed: " + refused[0].Path + " does not take the edit: " + refused[0].Text, Problems: refused,
		}}
	}
	return out, nil
}

// commitOthers has the prepared nodes make an edit. If one fails, those that have made it undo it. A node that did not answer may
// have made it; it is asked to undo it too.
func (s *Settings) commitOthers(ctx context.Context, e api.Edit, others []*edited) error {
	e.Base, e.Scope = "", "node"
	asked, cancel := context.WithTimeout(ctx, working)
	defer cancel()
	each := func(do func(o *edited)) {
		var all sync.WaitGroup
		for _, o := range others {
			if o.is.From != "" {
				all.Go(func() { do(o) })
			}
		}
		all.Wait()
	}
	each(func(o *edited) {
		o.status = "applied"
		if _, err := exchange.Ask[prepared](asked, s.cfg.Others, o.peer, asksCommit, proposal{e, s.cfg.Node(), o.is.From, o.is.To}); err != nil {
			var r *exchange.Refusal
			if o.status, o.text = "unknown", err.Error(); errors.As(err, &r) {
				o.status = "refused"
			}
		}
	})
	var failed []string
	for _, o := range others {
		if o.status == "refused" || o.status == "unknown" {
			failed = append(failed, o.text)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	undo, cancel := context.WithTimeout(ctx, working)
	defer cancel()
	each(func(o *edited) {
		if o.status == "refused" {
			return
		}
		_, err := exchange.Ask[prepared](undo, s.cfg.Others, o.peer, asksRestore, o.is)
		var r *exchange.Refusal
		if o.text = ""; err != nil && !(o.status == "unknown" && errors.As(err, &r)) {
			o.text = "not undone: " + err.Error()
		}
	})
	for _, o := range others {
		if strings.HasPrefix(o.text, "not undone") {
			failed = append(failed, o.text)
		}
	}
	return fmt.Errorf("the edit was undone at all nodes: %s", strings.Join(failed, "; "))
}
