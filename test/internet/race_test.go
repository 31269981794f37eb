//go:build linux

package internet

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// seed draws the same Internet each time.
const seed = 2022

// tries is how often Proxima races where it did not do well: a machine that
// stands still a moment has a hundred lookups run out of time.
const tries = 3

// alone reports whether the machine has nothing else to do, so that all figures
// may be judged.
func alone() bool { return os.Getenv("PROXIMA_ALONE") == "1" }

// maxMistakes is in how many of n answers Proxima may differ from a peer and not
// be right, 0.3 %. What a peer gets wrong is told and held against nobody. On a
// machine that does something else besides, a late packet is as good as none.
func maxMistakes(n int) int {
	if alone() {
		return n * 3 / 1000
	}
	return n * 20 / 1000
}

// badLuck is how many of n answers Proxima may lack beside the best peer.
func badLuck(n int) int {
	if alone() {
		return max(3, n/1000)
	}
	return n * 20 / 1000
}

// full reports whether the whole lists are asked.
func full() bool { return os.Getenv("PROXIMA_FULL") != "" }

// size returns the options of the model, and the peers that are asked beside Proxima.
func size() (Options, []contender) {
	if full() {
		return Options{Servers: 300, Seed: seed}, []contender{unbound, knot, bind, powerdns}
	}
	return Options{Names: 1000, Servers: 100, Seed: seed}, []contender{unbound, knot}
}

// TestProxima_besideItsPeers asks Proxima and its peers the same questions, each
// by itself, with an empty cache.
func TestProxima_besideItsPeers(t *testing.T) {
	o, peers := size()
	w := mustWorld(t, o, peers)
	proxima, err := proxima.build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("answers as many as the best of them", func(t *testing.T) {
		questions := w.model.Addresses()
		theirs := w.race(t, peers, questions)
		w.mustDo(t, proxima, questions, func(ours *result) error {
			for _, r := range append(theirs, ours) {
				t.Logf("%s did not answer:\n%s", r.title, w.failures(r, questions))
			}
			t.Logf("%d questions:\n%s", len(questions), table(append([]*result{ours}, theirs...)))
			for _, r := range theirs {
				if ours.correct+badLuck(len(questions)) < r.correct {
					return fmt.Errorf("Proxima answered %d of %d, %s %d", ours.correct, len(questions), r.title, r.correct)
				}
			}
			return nil
		})
	})
	t.Run("says what two of them say", func(t *testing.T) {
		questions := w.model.Mix()
		theirs := w.race(t, []contender{unbound, knot}, questions)
		w.mustDo(t, proxima, questions, func(ours *result) (err error) {
			t.Logf("%d questions:\n%s", len(questions), table(append([]*result{ours}, theirs...)))
			for _, r := range theirs {
				all, mistaken, why := w.differences(ours, r, questions)
				t.Logf("%s and %s differ in %d of %d, and Proxima is not right in %d:\n%s", ours.title, r.title, all, len(questions), mistaken, why)
				if mistaken > maxMistakes(len(questions)) {
					err = fmt.Errorf("Proxima differs from %s and is not right in %d of %d answers", r.title, mistaken, len(questions))
				}
			}
			return err
		})
	})
}

// mustWorld serves a model, or skips where something is missing.
func mustWorld(t *testing.T, o Options, peers []contender) *world {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	programs := []string{"nsd"}
	for _, c := range peers {
		programs = append(programs, c.program)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, " is not installed")
		}
	}
	var err error
	if o.Data, err = FindData(); err != nil {
		t.Skip(err)
	}
	m, err := NewModel(o)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w, err := newWorld(m, dir)
	if err != nil {
		t.Fatal(err, Logs(dir))
	}
	t.Cleanup(w.close)
	return w
}

// race lets peers answer the questions, one after another. One that cannot be
// started is left out.
func (w *world) race(t *testing.T, peers []contender, questions []dns.Question) (results []*result) {
	t.Helper()
	for _, c := range peers {
		r, err := w.run(c, questions)
		if err != nil {
			t.Log(err)
			continue
		}
		results = append(results, r)
	}
	return results
}

// mustDo lets Proxima answer the questions, and again where it did not do well.
func (w *world) mustDo(t *testing.T, proxima contender, questions []dns.Question, judge func(*result) error) {
	t.Helper()
	for try := 1; ; try++ {
		ours, err := w.run(proxima, questions)
		if err != nil {
			t.Fatal(err)
		}
		if ours.wrong > 0 {
			t.Errorf("Proxima gave %d wrong answers:\n%s", ours.wrong, w.failures(ours, questions))
		}
		if err = judge(ours); err == nil {
			return
		}
		if t.Logf("try %d: %v", try, err); try == tries {
			t.Fatal(err)
		}
	}
}
