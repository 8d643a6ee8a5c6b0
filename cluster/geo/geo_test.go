package geo

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// made writes a database of countries by network.
func made(t *testing.T, kind string, networks map[string]mmdbtype.Map) []byte {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, record := range networks {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func country(code string) mmdbtype.Map {
	return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
}

func sample(t *testing.T) []byte {
	return made(t, "GeoLite2-Country", map[string]mmdbtype.Map{
		"1.2.0.0/16":    country("CN"),
		"5.8.0.0/16":    country("RU"),
		"2001:db8::/32": country("DE"),
		"10.0.0.0/8":    country("US"), // nobody's, whatever the file says
		"9.9.0.0/16":    {"registered_country": mmdbtype.Map{"iso_code": mmdbtype.String("FR")}},
		"8.8.0.0/16":    {"continent": mmdbtype.Map{"code": mmdbtype.String("NA")}},
	})
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestCountryOfAnAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.mmdb")
	write(t, path, sample(t))
	var d Database
	if err := d.Use(path); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"1.2.3.4": "CN", "::ffff:1.2.3.4": "CN", "5.8.255.1": "RU", "2001:db8::1": "DE", "9.9.9.9": "FR",
		"8.8.8.8": "", "7.7.7.7": "", "10.1.2.3": "", "127.0.0.1": "", "fe80::1": "", "2001:db9::1": "",
	} {
		if got := d.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Country(%s) = %q, want %q", addr, got, want)
		}
	}
	if got := d.Country(netip.Addr{}); got != "" {
		t.Errorf("country of no address = %q, want none", got)
	}
	d.Drop()
	if got := d.Country(netip.MustParseAddr("1.2.3.4")); got != "" {
		t.Errorf("country without a database = %q, want none", got)
	}
}

func TestFileThatChangesIsReadAgainAndABrokenOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.mmdb")
	write(t, path, sample(t))
	var d Database
	if err := d.Use(path); err != nil {
		t.Fatal(err)
	}
	chinese := netip.MustParseAddr("1.2.3.4")
	other := made(t, "GeoIP2-City", map[string]mmdbtype.Map{"1.2.0.0/16": country("HK")})
	for _, tt := range []struct {
		name   string
		change func()
		broken string
		want   string
	}{
		{"cut", func() { write(t, path, other[:len(other)/2]) }, "error opening database", "CN"},
		{"gone", func() { _ = os.Remove(path) }, "the file is gone", "CN"},
		{"another", func() { write(t, path, other) }, "", "HK"},
		{"of another kind", func() {
			write(t, path, made(t, "GeoLite2-ASN", map[string]mmdbtype.Map{"1.2.0.0/16": {"asn": mmdbtype.Uint32(7)}}))
		}, "its type is \"GeoLite2-ASN\"", "HK"},
		{"empty", func() { write(t, path, nil) }, "error opening database", "HK"},
		{"the first again", func() { write(t, path, sample(t)) }, "", "CN"},
	} {
		tt.change()
		if changed, _ := d.again(); changed {
			t.Errorf("%s: the file is read while it may still be written", tt.name)
		}
		changed, err := d.again()
		if !changed {
			t.Fatalf("%s: the change of the file is not seen", tt.name)
		}
		if _, got, _ := d.Broken(); (tt.broken == "") != (got == "") || !strings.Contains(got, tt.broken) || (err == nil) != (got == "") {
			t.Errorf("%s: broken %q (%v), want %q", tt.name, got, err, tt.broken)
		}
		if got := d.Country(chinese); got != tt.want {
			t.Errorf("%s: country %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWatchSeesAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c.mmdb")
		write(t, path, sample(t))
		var d Database
		if err := d.Use(path); err != nil {
			t.Fatal(err)
		}
		go func() { _ = d.Watch(t.Context(), slog.New(slog.DiscardHandler)) }()
		write(t, path, []byte("no database"))
		time.Sleep(3 * look)
		synctest.Wait()
		if _, why, _ := d.Broken(); why == "" {
			t.Error("the change was not seen")
		}
	})
}

func TestDatabaseIsLookedForWhereItUsuallyIs(t *testing.T) {
	dir := t.TempDir()
	defer func(was []string) { Places = was }(Places)
	Places = []string{filepath.Join(dir, "a.mmdb"), filepath.Join(dir, "b.mmdb")}
	if _, err := Find(""); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "--geoip") {
		t.Errorf("Find in empty places: %v, want ErrNone and what to do", err)
	}
	write(t, Places[1], sample(t))
	if got, err := Find(""); err != nil || got != Places[1] {
		t.Errorf("Find = %q, %v, want the second place", got, err)
	}
	write(t, Places[0], sample(t))
	if got, err := Find(""); err != nil || got != Places[0] {
		t.Errorf("Find = %q, %v, want the first place", got, err)
	}
	if _, err := Find(filepath.Join(dir, "c.mmdb")); !errors.Is(err, ErrNone) {
		t.Errorf("Find of a file that is named and not there: %v, want ErrNone", err)
	}
	if err := new(Database).Use(dir); err == nil {
		t.Error("a directory is opened as a database")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sample(&testing.T{}))
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "c.mmdb")
		write(t, path, b)
		var d Database
		if err := d.Use(path); err == nil {
			_ = d.Country(netip.MustParseAddr("1.2.3.4"))
			_ = d.Country(netip.MustParseAddr("2001:db8::1"))
		}
	})
}
