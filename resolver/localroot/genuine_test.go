package localroot

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// genuineDay is when the signatures of the genuine root zone here were valid.
var genuineDay = time.Date(2022, 2, 20, 0, 0, 0, 0, time.UTC)

// mustGenuine opens the genuine root zone, or skips.
func mustGenuine(t testing.TB) *gzip.Reader {
	t.Helper()
	dir := os.Getenv("PROXIMA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "root.zone.2022021501.gz"))
	if err != nil {
		t.Skip("no genuine root zone here: set PROXIMA_DATA to the folder that holds root.zone.2022021501.gz")
	}
	t.Cleanup(func() { f.Close() })
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// genuineAnchor is the root's key of 2017.
func genuineAnchor(t testing.TB) []*dns.DS {
	t.Helper()
	rr, err := dns.NewRR(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D")
	if err != nil {
		t.Fatal(err)
	}
	return []*dns.DS{rr.(*dns.DS)}
}

func TestZone_Verify_acceptsTheGenuineRoot(t *testing.T) {
	text := mustGenuine(t)
	before := heap()
	began := time.Now()
	z, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	read := time.Since(began)
	until, err := z.Verify(genuineAnchor(t), dnssec.Rules{}, genuineDay)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records; read in %v, verified in %v, %d KiB kept", z.Records(), read, time.Since(began)-read, (heap()-before)>>10)
	if z.Serial() != 2022021501 || until.Before(genuineDay) || until.Sub(genuineDay) > 15*24*time.Hour {
		t.Errorf("serial %d until %v", z.Serial(), until)
	}
	if _, err := z.Verify(genuineAnchor(t), dnssec.Rules{}, genuineDay.AddDate(0, 1, 0)); err == nil {
		t.Error("verified a month later")
	}
}

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
