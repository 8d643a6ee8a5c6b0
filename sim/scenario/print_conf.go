package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/cluster/conf"
)

// A keyring gives each cluster key another one, so that a scenario that is printed betrays none.
type keyring map[string]string

func (k keyring) other(key string) string {
	if k[key] == "" {
		k[key] = fmt.Sprintf("key%d", len(k)+1)
	}
	return k[key]
}

// formatConf writes what a simulation looks at of a configuration, as far as it is not the default: entries that are
// alike but for their number share a line.
func formatConf(f *conf.File, keys keyring) string {
	var b strings.Builder
	var head []string
	add := func(format string, args ...any) { head = append(head, fmt.Sprintf(format, args...)) }
	if f.Name != "" {
		add("name %s;", confWord(f.Name))
	}
	if f.ClusterKey != "" {
		add("cluster_key %s;", keys.other(f.ClusterKey))
	}
	if f.ReturnHolddown != conf.DefaultReturnHolddown {
		add("return_holddown %d;", f.ReturnHolddown/time.Millisecond)
	}
	if f.RebalanceRate == 0 {
		add("rebalance_rate off;")
	} else if f.RebalanceRate != conf.DefaultRebalanceRate {
		add("rebalance_rate %d;", f.RebalanceRate)
	}
	if f.ChannelLimit != 0 {
		add("channel_limit %d;", f.ChannelLimit)
	}
	if f.CPULimit != 0 {
		add("cpu_limit %d;", f.CPULimit)
	}
	if len(head) > 0 {
		b.WriteString(strings.Join(head, " ") + "\n")
	}
	for _, v := range f.Vods {
		if v.Name != conf.DefaultVod {
			fmt.Fprintf(&b, "vod %s { root %s; }\n", confWord(v.Name), confWord(v.Root))
		}
	}
	var peers []item
	for _, p := range f.Peers {
		tail := ""
		if p.Port != 0 {
			tail = fmt.Sprintf(":%d", p.Port)
		}
		host := p.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		peers = append(peers, item{host, tail, peerBody(p, f, keys)})
	}
	formatItems(&b, "peer", peers)
	var streams []item
	for _, s := range f.Streams {
		streams = append(streams, item{s.Name, "", streamBody(s)})
	}
	formatItems(&b, "stream", streams)
	return b.String()
}

// An item is a directive with a name.
type item struct{ name, tail, body string }

// formatItems writes items; those that follow each other and differ by their numbers alone as one.
func formatItems(b *strings.Builder, directive string, items []item) {
	names := make([]string, len(items))
	for i, it := range items {
		names[i] = it.name
	}
	for i := 0; i < len(items); {
		first := items[i]
		same, alike := 1, 1
		for n := runLength(names[i:]); same < n && items[i+same].tail == first.tail && items[i+same].body == first.body; {
			same++
		}
		for n := runLength(names[i:]); alike < n && items[i+alike].tail == first.tail && items[i+alike].template() == first.template(); {
			alike++
		}
		n := max(same, alike)
		text := directive + " " + confWord(first.name+first.tail)
		body := first.body
		if n > 1 {
			prefix, low, _ := splitNumber(first.name)
			_, high, _ := splitNumber(items[i+n-1].name)
			span := "[" + low + ".." + high + "]"
			text = directive + " " + prefix + span + first.tail
			if n > same {
				body = strings.ReplaceAll(first.template(), "\x00", span)
			}
		}
		if body == "" {
			b.WriteString(text + ";\n")
		} else {
			b.WriteString(text + " { " + body + " }\n")
		}
		i += n
	}
}

// template is the body with a mark where the number of the name stands in it.
func (it item) template() string {
	_, digits, ok := splitNumber(it.name)
	if !ok {
		return it.body
	}
	return strings.ReplaceAll(it.body, digits, "\x00")
}

func peerBody(p conf.Peer, f *conf.File, keys keyring) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if p.Announced != "" {
		add("name %s;", confWord(p.Announced))
	}
	if p.FetchTimeout != conf.DefaultFetchTimeout {
		add("fetch_timeout %d;", p.FetchTimeout/time.Millisecond)
	}
	if p.StaleTimeout != conf.DefaultStaleTimeout {
		add("stale_timeout %d;", p.StaleTimeout/time.Millisecond)
	}
	if p.ChannelLimit != 0 {
		add("channel_limit %d;", p.ChannelLimit)
	}
	if p.CPULimit != 0 {
		add("cpu_limit %d;", p.CPULimit)
	}
	if p.ClusterKey != f.ClusterKey {
		add("cluster_key %s;", keys.other(p.ClusterKey))
	}
	return strings.Join(parts, " ")
}

func streamBody(s conf.Stream) string {
	var parts []string
	for _, in := range s.Inputs {
		parts = append(parts, "input "+confWord(in.URL)+";")
	}
	if in := s.Ingest; in != nil {
		text := "cluster_ingest"
		if in.CaptureAt != "" {
			text += " capture_at=" + in.CaptureAt
		}
		if in.Handover != conf.Make {
			text += " handover=" + string(in.Handover)
		}
		if in.Partition != conf.Available {
			text += " partition=" + string(in.Partition)
		}
		parts = append(parts, text+";")
	}
	if !s.Static {
		clients := "false"
		if s.ClientsTimeout >= 0 {
			clients = strconv.Itoa(int(s.ClientsTimeout / time.Second))
		}
		parts = append(parts, "static false;", "clients_timeout "+clients+";")
	}
	switch d := s.Delivery.Takeover; d {
	case 0, conf.DefaultTakeover:
	case conf.TakeoverAlways:
		parts = append(parts, "publish_takeover always;")
	case conf.TakeoverNever:
		parts = append(parts, "publish_takeover never;")
	default:
		parts = append(parts, "publish_takeover "+strconv.FormatFloat(d.Seconds(), 'f', -1, 64)+";")
	}
	if s.Disabled {
		parts = append(parts, "disabled;")
	}
	return strings.Join(parts, " ")
}

var confEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

// confWord quotes a word where the configuration would not read it back as it is.
func confWord(w string) string {
	if w == "" || strings.ContainsAny(w, " \t\n\r;{}\"'=\\[]") || strings.HasPrefix(w, "#") || strings.HasPrefix(w, "\ufeff") {
		return `"` + confEscapes.Replace(w) + `"`
	}
	return w
}
