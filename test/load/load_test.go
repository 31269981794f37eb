//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	echoIfAsked()
	os.Exit(m.Run())
}

// TestMeasures_giveFigures runs every measure for a moment, so that none rots.
// What the figures are does not matter here.
func TestMeasures_giveFigures(t *testing.T) {
	if err := available(); err != nil {
		t.Skip(err)
	}
	peers, missing, err := find(t.Context(), "echo,proxima", t.TempDir())
	if err != nil || len(missing) > 0 {
		t.Fatal(err, missing)
	}
	b, err := newBed(options{Runs: 1, Duration: 200 * time.Millisecond, Names: 100, Entries: 2000, Flood: 2000, Rate: 1000}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.net.Close()
	var r *report
	const tries = 3 // of so short a measure a moment's pause leaves nothing
	for try := 1; ; try++ {
		r = &report{machine: machine(), peers: peers, values: map[string]map[string][]float64{}}
		err := cmp.Or(b.measure(t.Context(), measures, r), b.complete(r))
		if err == nil {
			break
		}
		if t.Logf("try %d: %v", try, err); try == tries {
			t.Fatal(err)
		}
	}
	var table bytes.Buffer
	r.print(&table)
	t.Log(table.String())
}

// complete says which figure is missing, or too much, or nil.
func (b *bed) complete(r *report) error {
	for _, m := range measures {
		for _, f := range m.figures {
			for _, p := range r.peers {
				value := r.median(f, p)
				absent := p.name == "echo" && (!m.echo || f.name == collectedUDP) || f.name == throughput && !b.cores.apart()
				if math.IsNaN(value) != absent || value < 0 {
					return fmt.Errorf("%s of %s is %v", f.name, p.name, value)
				}
			}
		}
	}
	return nil
}

func TestRead_countsWhatIsAnswered(t *testing.T) {
	const said = `Statistics:

  Queries sent:         1000
  Queries completed:    990 (99.00%)
  Queries lost:         10 (1.00%)

  Response codes:       NOERROR 900 (90.91%), SERVFAIL 90 (9.09%)
  Average packet size:  request 31, response 47
  Run time (s):         2.000000
  Queries per second:   495.000000
`
	got, err := read(said)
	want := account{completed: 990, answered: 900, qps: 495}
	if err != nil || got != want {
		t.Errorf("read = %+v, %v; want %+v", got, err, want)
	}
	if _, err := read("Queries completed:    0 (0%)\n"); err == nil {
		t.Error("nothing completed, but no error")
	}
}

func TestNumber_saysWhatIsNone(t *testing.T) {
	p := probe{took: map[int]time.Duration{0: 40 * time.Microsecond}}
	for i, want := range []string{"40", "never"} {
		if got := number(p.quantiles(2, 0, 0.99)[i], 0); got != want {
			t.Errorf("quantile %d = %q, want %q", i, got, want)
		}
	}
	if got := number(math.NaN(), 2); got != "-" {
		t.Errorf("no figure = %q, want -", got)
	}
}

func TestReport_medianIgnoresWhatStandsOut(t *testing.T) {
	r := &report{values: map[string]map[string][]float64{}}
	f, p := figure{name: "f"}, &peer{name: "p"}
	for _, v := range []float64{3, 900, math.NaN(), 1, 4} {
		r.add(f, p, v)
	}
	if got := r.median(f, p); got != 3.5 {
		t.Errorf("median = %v, want 3.5", got)
	}
}
