package sim

import (
	"bytes"
	"encoding/json"

	"weir/cluster/control"
	"weir/sim/oracle"
)

const (
	// unchangedSize is about how long an answer is that says nothing new, in bytes.
	unchangedSize = 300

	// One in sampleEvery unchanged answers goes through its bytes, as all others do: making them would take most of the time.
	sampleEvery = 1024
)

// replyState sends an answer of m back: through bytes if it is broken, or says something new, and a sample of the others.
func (w *world) replyState(m *machine, ex *exchange, st *control.State) {
	w.checks.replies(m, ex, st)
	if w.o.NoRelay {
		st.Ages = nil
	}
	if m.newer > 0 {
		st.V = control.Protocol + 1
	}
	size := unchangedSize
	m.answers++
	broken := m.broken > 0 && hits(m.chance, m.broken)
	if broken {
		ex.raw, ex.garbled = m.breakUp(st), m.breakage == Garbled
		size = len(ex.raw)
	} else if !st.Same || m.answers%sampleEvery == 0 {
		raw, err := json.Marshal(st)
		if err != nil {
			w.checks.hold(oracle.I27, false, nil, []string{m.name}, "a state that has no form on the wire: %v", err)
			return
		}
		size = len(raw)
		w.checks.answerSize(m, st, raw)
		ex.raw = raw
	}
	if m.newer > 0 && ex.raw != nil && !broken {
		ex.raw = append([]byte(`{"from_a_later_version":{"x":[1,2,3]},`), ex.raw[1:]...)
	}
	ex.state = st
	w.reply(ex, size)
}

// breakUp makes an answer that cannot be read.
func (m *machine) breakUp(st *control.State) []byte {
	raw, _ := json.Marshal(st)
	switch m.breakage {
	case Huge:
		return append(raw[:len(raw)-1], append([]byte(`,"direct_ages":[`), append(bytes.Repeat([]byte(`{},`), 5000), `{}]}`...)...)...)
	case Garbled:
		for range 1 + m.chance.IntN(4) {
			raw[m.chance.IntN(len(raw))] = byte(m.chance.Uint32())
		}
		return raw
	}
	return raw[:m.chance.IntN(len(raw))]
}

// read takes the state that is in an answer: in its bytes, where it has any. An answer is read once.
func (ex *exchange) read() (*control.State, error) {
	st, raw := ex.state, ex.raw
	ex.state, ex.raw = nil, nil
	if raw == nil {
		return st, nil
	}
	st = new(control.State)
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, err
	}
	if st.Instance == ex.to.instance {
		st.Instance = ex.to.instance // one text: then the two are compared without being read
	}
	return st, st.Check()
}
