package control

import (
	"encoding/json"
	"testing"
)

func TestEveryKindOfNoteHasItsWordAndItsSentence(t *testing.T) {
	words, texts := map[string]NoteKind{}, map[string]NoteKind{}
	for _, k := range NoteKinds() {
		if k.String() == "" || words[k.String()] != 0 || k.Text() == "" || texts[k.Text()] != 0 {
			t.Errorf("kind %d is %q and says %q: empty, or the same as kinds %d and %d", k, k, k.Text(), words[k.String()], texts[k.Text()])
		}
		words[k.String()], texts[k.Text()] = k, k
		b, err := json.Marshal(Note{Kind: k})
		var back Note
		if err != nil || json.Unmarshal(b, &back) != nil || back.Kind != k {
			t.Errorf("%s becomes %s and then %+v, %v", k, b, back, err)
		}
	}
	var n Note
	if err := json.Unmarshal([]byte(`{"Kind":"no such word"}`), &n); err == nil {
		t.Errorf("a word that is none becomes %s", n.Kind)
	}
}
