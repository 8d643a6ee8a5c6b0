package srs

import (
	"strconv"
	"time"

	"weir/cluster/load"
)

// A decimal is a number as SRS writes those that are not whole: with two decimals.
type decimal float64

// MarshalJSON implements [json.Marshaler].
func (d decimal) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d), 'f', 2, 64), nil
}

// figuresAge is for how long figures of the machine are shown again: reading them takes a while.
const figuresAge = time.Second

// figures are those of the machine, now or a moment ago, and what its disks did since the reading before.
func (a *API) figures() (f load.Figures, disks disks) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Uptime()
	if passed := now - a.read; a.read == 0 || passed >= figuresAge {
		before := a.latest
		a.latest = a.cfg.Figures()
		if a.read > 0 {
			a.disks = disksBetween(before, a.latest, passed)
		}
		a.read = now
	}
	return a.latest, a.disks
}

// disks is the work of the disks lately.
type disks struct {
	read, written int64 // kilobytes per second
	busy          float64
}

func disksBetween(before, after load.Figures, passed time.Duration) disks {
	perSecond := func(from, to uint64) int64 {
		if to < from {
			return 0
		}
		return int64(float64(to-from) / 1024 / passed.Seconds())
	}
	return disks{
		perSecond(before.DiskRead, after.DiskRead), perSecond(before.DiskWritten, after.DiskWritten),
		min(1, max(0, float64(after.DiskBusy-before.DiskBusy)/float64(passed))),
	}
}

// part is a to b; zero where b is.
func part(a, b float64) decimal {
	if b == 0 {
		return 0
	}
	return decimal(a / b)
}

func (a *API) summaries() object {
	var sent, received uint64
	for _, c := range a.sessions() {
		sent += c.BytesOut
		received += c.BytesIn
	}
	f, d := a.figures()
	now, up := a.cfg.Wall().UnixMilli(), a.cfg.Uptime()
	return a.envelope(0, field{"data", object{
		{"ok", true},
		{"now_ms", now},
		{"self", object{
			{"version", version},
			{"pid", a.cfg.PID},
			{"ppid", f.ParentPID},
			{"argv", f.Args},
			{"cwd", f.Dir},
			{"mem_kbyte", f.Own.Memory >> 10},
			{"mem_percent", part(float64(f.Own.Memory), float64(f.RAM))},
			{"cpu_percent", part((f.Own.User + f.Own.System).Seconds(), up.Seconds())},
			{"srs_uptime", int64(up / time.Second)},
		}},
		{"system", object{
			{"cpu_percent", decimal(f.CPU)},
			{"disk_read_KBps", d.read},
			{"disk_write_KBps", d.written},
			{"disk_busy_percent", decimal(d.busy)},
			{"mem_ram_kbyte", f.RAM >> 10},
			{"mem_ram_percent", decimal(f.RAMUsed)},
			{"mem_swap_kbyte", f.Swap >> 10},
			{"mem_swap_percent", decimal(f.SwapUsed)},
			{"cpus", f.CPUs},
			{"cpus_online", f.CPUs},
			{"uptime", decimal(f.Uptime.Seconds())},
			{"ilde_time", decimal(f.Idle.Seconds())}, // SRS's spelling
			{"load_1m", decimal(f.Load1)},
			{"load_5m", decimal(f.Load5)},
			{"load_15m", decimal(f.Load15)},
			{"net_sample_time", now},
			{"net_recv_bytes", f.Received},
			{"net_send_bytes", f.Sent},
			{"net_recvi_bytes", f.LocalReceived},
			{"net_sendi_bytes", f.LocalSent},
			{"srs_sample_time", now},
			{"srs_recv_bytes", received},
			{"srs_send_bytes", sent},
			{"conn_sys", f.TCP},
			{"conn_sys_et", f.Established},
			{"conn_sys_tw", f.TimeWait},
			{"conn_sys_udp", f.UDP},
			{"conn_srs", len(a.cfg.Sessions())},
		}},
	}})
}

func (a *API) rusages() object {
	f, _ := a.figures()
	u := f.Own
	return a.envelope(0, field{"data", object{
		{"ok", true},
		{"sample_time", a.cfg.Wall().UnixMilli()},
		{"ru_utime", int64(u.User / time.Second)},
		{"ru_stime", int64(u.System / time.Second)},
		{"ru_maxrss", u.Memory >> 10},
		{"ru_ixrss", u.SharedText},
		{"ru_idrss", u.UnsharedData},
		{"ru_isrss", u.UnsharedStack},
		{"ru_minflt", u.MinorFaults},
		{"ru_majflt", u.MajorFaults},
		{"ru_nswap", u.Swaps},
		{"ru_inblock", u.BlocksIn},
		{"ru_oublock", u.BlocksOut},
		{"ru_msgsnd", u.MessagesSent},
		{"ru_msgrcv", u.MessagesReceived},
		{"ru_nsignals", u.Signals},
		{"ru_nvcsw", u.Switches},
		{"ru_nivcsw", u.ForcedSwitches},
	}})
}

// authors has the fields of SRS's answer about weir.
func (a *API) authors() object {
	return a.envelope(0, field{"data", object{{"license", "Apache-2.0"}, {"contributors", "weir " + a.cfg.Build}}})
}

// features says which parts of SRS this node has, under SRS's names.
func (a *API) features() object {
	return a.envelope(0, field{"data", object{
		{"options", ""},
		{"options2", ""},
		{"build", a.cfg.Build},
		{"build2", ""},
		{"features", object{
			{"ssl", false},
			{"hls", true},
			{"hds", false},
			{"callback", true},
			{"api", true},
			{"httpd", true},
			{"dvr", false},
			{"transcode", false},
			{"ingest", true},
			{"stat", true},
			{"caster", false},
			{"complex_send", true},
			{"tcp_nodelay", true},
			{"so_sendbuf", false},
			{"mr", false},
		}},
	}})
}
