//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A reload touches only what differs: a stream that is watched goes on without a break while others come, change and
// go; and a file with an error changes nothing.
func TestReloadTouchesOnlyWhatDiffers(t *testing.T) {
	const kept, changed, gone, came = "stream kept { input fake://fake; cluster_ingest; }\n", "stream changed { input fake://fake; }\n",
		"stream gone { input fake://fake; }\n", "stream came { input fake://fake; cluster_ingest; }\n"
	var head string
	c := start(t, 2, func(_ int, ports []int) string {
		head = peers(ports)
		return head + kept + changed + gone
	})
	c.settle(20*time.Second, c.nodes, []string{"kept"})
	n := c.nodes[0]
	path := n.args[2]
	viewer := play(t, "rtmp://"+n.rtmp+"/static/kept")
	viewer.plays(t, 20*time.Second, 25)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state := func(name string) string {
		all, err := n.streams()
		if err != nil {
			return err.Error()
		}
		return all[name].State
	}

	since := time.Now()
	write(head + kept + strings.Replace(changed, "fake://fake", "fake://fake?fps=10", 1) + came)
	eventually(t, 15*time.Second, "the change of the file is in effect", func() error {
		if s := state("came"); s != "running" {
			return fmt.Errorf("came is %q", s)
		}
		all, err := n.streams()
		if err != nil {
			return err
		}
		if s := all["changed"]; s.State != "running" || len(s.Inputs) != 1 || s.Inputs[0].URL != "fake://fake?fps=10" || !s.Inputs[0].Active {
			return fmt.Errorf("changed is %+v", s)
		}
		if len(n.log.find("stream stopped", "gone", since)) == 0 {
			return fmt.Errorf("gone is still captured")
		}
		return nil
	})
	if got := n.log.find("stream ", "kept", since); len(got) != 0 {
		t.Errorf("the stream that did not change met %v", got)
	}

	write(head + kept + "strem x { }\n")
	n.signal(t, syscall.SIGHUP)
	eventually(t, 5*time.Second, "an error in the file is said", func() error {
		if len(n.log.find("the configuration was not reloaded", "", since)) == 0 {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	if s := state("came"); s != "running" {
		t.Errorf("after a bad file came is %q, want running as before", s)
	}
	write(strings.Replace(head, "return_holddown ", "return_holddown 7", 1) + kept + "http 1;\n")
	res, err := http.Post("http://"+n.http+"/streamer/api/v3/config/reload", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("reload by the API: %v, %v", res, err)
	}
	if err == nil {
		_ = res.Body.Close()
	}
	eventually(t, 10*time.Second, "what is left is the kept stream", func() error {
		all, err := n.streams()
		if err == nil && all["kept"].State != "running" {
			err = fmt.Errorf("kept is %s", all["kept"].State)
		}
		if _, there := all["came"]; there && err == nil {
			err = fmt.Errorf("came is %s", all["came"].State)
		}
		return err
	})
	viewer.plays(t, 10*time.Second, 50)
	if missing := viewer.forward(t, step(viewer)); missing > 0 {
		t.Errorf("a viewer of the stream that did not change missed %d access units", missing)
	}
	eventually(t, 10*time.Second, "the other node shows the drift", func() error {
		body, err := get("http://" + c.nodes[1].http + "/streamer/api/v3/cluster/alarms")
		if err == nil && !strings.Contains(string(body), `"kind":"configuration drift","node":"n1"`) {
			err = fmt.Errorf("its alarms are %s", body)
		}
		return err
	})
}
