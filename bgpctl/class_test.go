package bgpctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// pass is a proof that always passes.
var pass = Check{Name: "dns", Run: func(context.Context) error { return nil }}

// of is a check of a class with the results of a script; of a fault's class, if
// as is not Sound.
func of(name string, class Class, letters string, as Class) Check {
	s := script{letters: letters}
	return Check{Name: name, Class: class, Run: func(ctx context.Context) error {
		err := s.run(ctx)
		if err != nil && as != Sound {
			return fmt.Errorf("told: %w", &Fault{as, err})
		}
		return err
	}}
}

// said are the leases so far, as "1s up soft-local tcp".
func (r *recorder) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, h := range r.held {
		list = append(list, fmt.Sprintf("%v %v %v %s", h.at, h.want.Wish, h.want.Class, h.want.Check))
	}
	return list
}

// run runs a Keeper of checks for d, with rise 1 and fall 2, and returns what it
// said, without the last word.
func run(t *testing.T, d time.Duration, checks ...Check) []string {
	t.Helper()
	r := newRecorder()
	k := mustKeeper(t, KeeperOptions{Checks: checks, Link: r, Rise: 1})
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	k.Run(ctx)
	all := r.said()
	return all[:len(all)-1]
}

func TestKeeper_classes(t *testing.T) {
	tests := []struct {
		name   string
		checks []Check
		want   []string // at 0, 1 and 2 s
	}{
		{"a soft fault degrades, and withdraws never", []Check{pass, of("tcp", SoftLocal, "-", Sound)},
			[]string{"0s up sound ", "1s up soft-local tcp", "2s up soft-local tcp"}},
		{"one failure is none", []Check{pass, of("tcp", SoftLocal, "-+-", Sound)},
			[]string{"0s up sound ", "1s up sound ", "2s up sound "}},
		{"a fault ends with the run that lifts it", []Check{pass, of("tcp", SoftLocal, "--+", Sound)},
			[]string{"0s up sound ", "1s up soft-local tcp", "2s up sound "}},
		{"the worst is told, whatever their order", []Check{of("shared", Shared, "-", Sound), of("up", Upstream, "-", Sound), of("tcp", SoftLocal, "-", Sound), pass},
			[]string{"0s up sound ", "1s up soft-local tcp", "2s up soft-local tcp"}},
		{"hard-local is worse than all", []Check{of("tcp", SoftLocal, "-", Sound), of("hard", HardLocal, "+-", Sound)},
			[]string{"0s up sound ", "2s down hard-local hard"}},
		{"an error says how bad it is", []Check{pass, of("recursion", Upstream, "-", SoftLocal)},
			[]string{"0s up sound ", "1s up soft-local recursion", "2s up soft-local recursion"}},
		{"but none that it is hard, if the check is not", []Check{pass, of("recursion", Upstream, "-", HardLocal)},
			[]string{"0s up sound ", "1s up upstream recursion", "2s up upstream recursion"}},
		{"a proof that fails but for a part renews", []Check{of("udp", HardLocal, "-", SoftLocal)},
			[]string{"0s up sound ", "1s up soft-local udp", "2s up soft-local udp"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := run(t, 2900*time.Millisecond, tt.checks...); !slices.Equal(got, tt.want) {
					t.Errorf("leases = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestKeeper_noCheckButAHardOneWithdraws: whatever the other checks do, each
// round renews and none says Down.
func TestKeeper_noCheckButAHardOneWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := []Check{pass}
		for _, class := range []Class{SoftLocal, Upstream, Shared} {
			for _, letters := range []string{"-", "~", "-+", "--+-"} {
				c := of(class.String()+letters, class, letters, HardLocal)
				slow := of(class.String()+letters+" slow", class, letters, HardLocal)
				slow.Every, slow.Limit = 3*time.Second, 2*time.Second
				checks = append(checks, c, slow)
			}
		}
		r := newRecorder()
		k := mustKeeper(t, KeeperOptions{Checks: checks, Link: r, Rise: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 60200*time.Millisecond)
		defer cancel()
		k.Run(ctx)
		wishes := r.wishes()
		for _, w := range wishes[:len(wishes)-1] {
			if w[len(w)-2:] != "up" {
				t.Errorf("a lease of %q", w)
			}
		}
		if len(wishes) != 61 {
			t.Errorf("%d leases in a minute, want one a second and the last word", len(wishes))
		}
	})
}

func TestKeeper_periods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs []time.Duration
		start := time.Now()
		slow := Check{Name: "slow", Class: Upstream, Every: 8 * time.Second, Limit: 6 * time.Second, Run: func(ctx context.Context) error {
			runs = append(runs, time.Since(start))
			<-ctx.Done()
			return ctx.Err()
		}}
		if got := run(t, 200*time.Second+1, pass, slow); len(got) != 201 {
			t.Errorf("%d leases in 200 s, want 201: nobody waits for a check with a period", len(got))
		}
		if runs[0] > 8*time.Second {
			t.Errorf("the first run was at %v", runs[0])
		}
		apart := make(map[time.Duration]bool)
		for i, at := range runs[1:] {
			d := at - runs[i]
			apart[d] = true
			if d < 6*time.Second || d > 11*time.Second { // 6 to 10 s, and the round begins within a second
				t.Errorf("run %d came %v after the one before", i+1, d)
			}
		}
		if len(apart) < 2 {
			t.Errorf("all runs of a check were %v apart", apart)
		}
	})
}

func TestKeeper_aSlowCheckThatNeverEndsIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var runs atomic.Int32
		slow := Check{Name: "slow", Class: Upstream, Every: 4 * time.Second, Limit: 2 * time.Second, Run: func(context.Context) error {
			runs.Add(1)
			<-release
			return nil
		}}
		r := newRecorder()
		k := mustKeeper(t, KeeperOptions{Checks: []Check{pass, slow}, Link: r, Rise: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(30 * time.Second)
		if w := r.last(); w.Wish != Up || w.Class != Upstream || w.Check != "slow" || runs.Load() != 1 {
			t.Errorf("last lease = %+v after %d runs, want up, upstream, slow after 1", w, runs.Load())
		}
		close(release)
		time.Sleep(10 * time.Second)
		if w := r.last(); w.Wish != Up || w.Class != Sound {
			t.Errorf("last lease = %+v, want up and sound", w)
		}
		cancel()
		<-done
	})
}

func TestKeeper_answers(t *testing.T) {
	tests := []struct {
		name    string
		letters string
		want    bool
	}{
		{"one address answers", "+", true},
		{"none does", "-", false},
		{"its check has not ended", "~", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder()
				dead, other := of("v4", HardLocal, "-", Sound), of("v6", HardLocal, tt.letters, Sound)
				dead.Answers, other.Answers = true, true
				k := mustKeeper(t, KeeperOptions{Checks: []Check{pass, dead, other}, Link: r, Rise: 1})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- k.Run(ctx) }()
				time.Sleep(2900 * time.Millisecond)
				if w := r.last(); w.Wish != Down || w.Answers != tt.want {
					t.Errorf("last lease = %+v, want down and answers %t", w, tt.want)
				}
				cancel()
				<-done
			})
		})
	}
}

func TestKeeper_tellsEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		k := mustKeeper(t, KeeperOptions{Checks: []Check{pass, of("tcp", SoftLocal, "-----++++", Sound)}, Link: newRecorder(), Rise: 1, Log: zap.New(core)})
		ctx, cancel := context.WithTimeout(t.Context(), 8900*time.Millisecond)
		defer cancel()
		k.Run(ctx)
		var got []string
		for _, e := range logs.All() {
			if e.Message != "announcement changed" {
				got = append(got, e.Message)
			}
		}
		want := []string{"check passed", "health came up", "check failed", "node has a fault", "check passed", "node has no fault any more"}
		if !slices.Equal(got, want) {
			t.Errorf("log = %q, want %q", got, want)
		}
		if r := k.Status().Checks[1]; r.Class != SoftLocal || r.Fault != Sound || r.Failures != 5 {
			t.Errorf("result = %+v", r)
		}
	})
}

func TestNewKeeper_refusesAFaultyCheck(t *testing.T) {
	with := func(change func(*Check)) []Check {
		c := pass
		change(&c)
		return []Check{pass, c}
	}
	tests := []struct {
		name   string
		checks []Check
	}{
		{"no proof", []Check{of("tcp", SoftLocal, "+", Sound)}},
		{"a proof with a period is none", with(func(c *Check) { c.Every = time.Minute })[1:]},
		{"nothing to run", with(func(c *Check) { c.Run = nil })},
		{"a class that is none", with(func(c *Check) { c.Class = 99 })},
		{"a negative fall", with(func(c *Check) { c.Fall = -1 })},
		{"a limit beyond the period", with(func(c *Check) { c.Every, c.Limit = time.Second, time.Minute })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewKeeper(KeeperOptions{Checks: tt.checks}); err == nil {
				t.Error("error = nil")
			}
		})
	}
}

func TestFault_isItsError(t *testing.T) {
	why := errors.New("no reply")
	if err := error(&Fault{SoftLocal, why}); err.Error() != "no reply" || !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}
