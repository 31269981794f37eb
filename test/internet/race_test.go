//go:build linux

package internet

import (
	"os"
	"os/exec"
	"testing"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// seed draws the same Internet each time.
const seed = 2022

// maxMistakes is in how many of a thousand answers Proxima may differ from a peer
// and not be right. What a peer gets wrong is told and held against nobody.
const maxMistakes = 3

// badLuck is how many of n answers Proxima may lack beside the best peer: on a
// machine that does something else besides, a late packet is as good as none.
func badLuck(n int) int { return max(3, n/1000) }

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
		results := mustRace(t, w, append([]contender{proxima}, peers...), questions)
		for _, r := range results {
			t.Logf("%s did not answer:\n%s", r.title, w.failures(r, questions))
		}
		ours := results[0]
		if ours.wrong > 0 {
			t.Errorf("Proxima gave %d wrong answers", ours.wrong)
		}
		for _, r := range results[1:] {
			if ours.correct+badLuck(len(questions)) < r.correct {
				t.Errorf("Proxima answered %d of %d, %s %d", ours.correct, len(questions), r.title, r.correct)
			}
		}
	})
	t.Run("says what two of them say", func(t *testing.T) {
		questions := w.model.Mix()
		results := mustRace(t, w, []contender{proxima, unbound, knot}, questions)
		ours := results[0]
		if ours.wrong > 0 {
			t.Errorf("Proxima gave %d wrong answers", ours.wrong)
		}
		for _, r := range results[1:] {
			all, mistaken, why := w.differences(ours, r, questions)
			t.Logf("%s and %s differ in %d of %d, and Proxima is not right in %d:\n%s", ours.title, r.title, all, len(questions), mistaken, why)
			if mistaken*1000 > len(questions)*maxMistakes {
				t.Errorf("Proxima differs from %s and is not right in %d of %d answers", r.title, mistaken, len(questions))
			}
		}
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

// mustRace lets contenders answer the questions, one after another, and logs
// how they did.
func mustRace(t *testing.T, w *world, contenders []contender, questions []dns.Question) []*result {
	t.Helper()
	var results []*result
	for _, c := range contenders {
		r, err := w.race(c, questions)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	t.Logf("%d questions:\n%s", len(questions), table(results))
	return results
}
