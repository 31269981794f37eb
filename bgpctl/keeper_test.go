package bgpctl

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}

// A recorder is a Link that remembers, with the time since it was made.
type recorder struct {
	start  time.Time
	answer func(want Wanted, n int) (Reply, error) // of the n-th lease, from 1; nil = obliging

	mu   sync.Mutex
	held []held
}

type held struct {
	at   time.Duration
	want Wanted
}

func newRecorder() *recorder { return &recorder{start: time.Now()} }

func (r *recorder) Hold(ctx context.Context, want Wanted, lease time.Duration) (Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, held{time.Since(r.start), want})
	if r.answer != nil {
		return r.answer(want, len(r.held))
	}
	return obliging(want), nil
}

// obliging is the reply of a sidecar that does at once what it is asked.
func obliging(want Wanted) Reply {
	if want.Wish == Up {
		return Reply{State: Announced, Announced: want.Prefixes}
	}
	return Reply{State: Withdrawn}
}

// wishes are the times and wishes so far, as "1s up".
func (r *recorder) wishes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, h := range r.held {
		list = append(list, h.at.String()+" "+h.want.Wish.String())
	}
	return list
}

func (r *recorder) last() Wanted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[len(r.held)-1].want
}

// A script is a check whose n-th run passes if the n-th letter is '+', fails if
// it is '-', and hangs if it is '~'. The last letter repeats.
type script struct {
	letters string
	runs    int
}

func (s *script) run(ctx context.Context) error {
	letter := s.letters[min(s.runs, len(s.letters)-1)]
	s.runs++
	switch letter {
	case '-':
		return errors.New("no reply")
	case '~':
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func mustKeeper(t testing.TB, o KeeperOptions) *Keeper {
	t.Helper()
	if o.Prefixes == nil {
		o.Prefixes = prefixes
	}
	k, err := NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keep runs a Keeper with rise 1 and fall 2 for as long as d, then ends it.
func keep(t testing.TB, link Link, letters string, d time.Duration) {
	t.Helper()
	s := script{letters: letters}
	k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run}}, Link: link, Rise: 1})
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	k.Run(ctx)
}

func TestKeeper_leases(t *testing.T) {
	tests := []struct {
		name    string
		results string // as in script, one letter a second
		want    []string
	}{
		{"each round that passed renews", "+++", []string{"0s up", "1s up", "2s up", "2.9s down"}},
		{"a round that failed renews nothing", "+-+", []string{"0s up", "2s up", "2.9s down"}},
		{"the second failure in a row says down", "+--", []string{"0s up", "2s down", "2.9s down"}},
		{"a hang is a failure", "+~~", []string{"0s up", "2.5s down", "2.9s down"}},
		{"a node that was never well says down", "---", []string{"0s down", "1s down", "2s down", "2.9s down"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder()
				keep(t, r, tt.results, 2900*time.Millisecond)
				if got := r.wishes(); !slices.Equal(got, tt.want) {
					t.Errorf("leases = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestKeeper_excuses(t *testing.T) {
	tests := []struct {
		name    string
		results string // as in script, one letter a second; none but '+' and '~' is excused
		want    []string
	}{
		{"a late result that is excused renews the lease", "+~~", []string{"0s up", "1.5s up", "2.5s up", "2.9s down"}},
		{"but brings no node up", "~~~", []string{"500ms down", "1.5s down", "2.5s down", "2.9s down"}},
		{"and forgives no other failure", "+-~-", []string{"0s up", "2.5s up", "3s down", "3.9s down"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder()
				s := script{letters: tt.results}
				late := func() func(error) bool {
					return func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
				}
				k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run, Excuse: late}}, Link: r, Rise: 1})
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(tt.results))*time.Second-100*time.Millisecond)
				defer cancel()
				k.Run(ctx)
				if got := r.wishes(); !slices.Equal(got, tt.want) {
					t.Errorf("leases = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestKeeper_Down_names_the_check(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		s := script{letters: "+++--+"}
		k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "address", Run: func(context.Context) error { return nil }}, {Name: "dns", Run: s.run}}, Link: r, Rise: 3})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(4500 * time.Millisecond)
		if w := r.last(); w.Wish != Down || w.Check != "dns" || w.Reason != "no reply" {
			t.Errorf("last lease = %+v, want down, check dns, no reply", w)
		}
		time.Sleep(time.Second)
		if w := r.last(); w.Wish != Down || w.Check != "dns" {
			t.Errorf("lease while it recovers = %+v, want down and still the check dns", w)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if w := r.last(); w.Wish != Down || w.Check != "" {
			t.Errorf("last lease = %+v, want down and no check", w)
		}
	})
}

func TestKeeper_stop_fails_no_check(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		s := script{letters: "+~"}
		k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run}}, Link: newRecorder(), Rise: 1, Log: zap.New(core)})
		ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond) // within the second run
		defer cancel()
		k.Run(ctx)
		if r := k.Status().Checks[0]; r.Err != nil || r.Failures != 0 || logs.Len() != 0 {
			t.Errorf("result = %+v, logs = %v; want the one of the first run, and no warning", r, logs.All())
		}
	})
}

func TestKeeper_check_that_ignores_its_context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var runs atomic.Int32
		stuck := func(context.Context) error {
			if runs.Add(1) > 1 {
				<-release
			}
			return nil
		}
		r := newRecorder()
		k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "stuck", Run: stuck}}, Link: r, Rise: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(4600 * time.Millisecond)
		if got, want := r.wishes(), []string{"0s up", "2.5s down", "3.5s down", "4.5s down"}; !slices.Equal(got, want) {
			t.Errorf("leases = %q, want %q", got, want)
		}
		if n := runs.Load(); n != 2 {
			t.Errorf("runs = %d, want 2: a check that has not ended is not run again", n)
		}
		cancel()
		<-done
		close(release)
	})
}

func TestKeeper_Drain(t *testing.T) {
	tests := []struct {
		name   string
		answer func(want Wanted, n int) (Reply, error)
		want   []string
		ends   time.Duration // 0 = with the context, after 10 s
	}{
		{"asks at once and ends with the sidecar's word", nil, []string{"0s up", "1s up", "1.5s drain"}, 0},
		{"repeats until the sidecar has withdrawn", func(want Wanted, n int) (Reply, error) {
			if want.Wish == Drain && n > 4 {
				return Reply{Seq: 1, State: Withdrawn}, nil
			}
			return Reply{Seq: 1, State: Draining, Announced: want.Prefixes}, nil
		}, []string{"0s up", "1s up", "1.5s drain", "2s drain", "3s drain"}, 1500 * time.Millisecond},
		{"a state without the speaker's word is not the end", func(want Wanted, n int) (Reply, error) {
			return Reply{Seq: 1, State: Withdrawn, Announced: want.Prefixes}, nil
		}, nil, 10 * time.Second},
		{"a sidecar that is gone announces nothing after the lease", func(want Wanted, n int) (Reply, error) {
			if want.Wish == Up {
				return obliging(want), nil
			}
			return Reply{}, ErrEnded
		}, nil, 3500 * time.Millisecond}, // 3 s after 1 s, so in the round at 5 s
		{"one that is silent may announce for as long as it likes", func(want Wanted, n int) (Reply, error) {
			if want.Wish == Up {
				return obliging(want), nil
			}
			return Reply{}, os.ErrDeadlineExceeded
		}, nil, 10 * time.Second},
		{"until its connection ends", func(want Wanted, n int) (Reply, error) {
			switch {
			case want.Wish == Up:
				return obliging(want), nil
			case n < 8:
				return Reply{}, os.ErrDeadlineExceeded
			}
			return Reply{}, ErrEnded
		}, nil, 4500 * time.Millisecond}, // the eighth lease is that of 6 s
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder()
				r.answer = tt.answer
				s := script{letters: "+"}
				k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run}}, Link: r, Rise: 1})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- k.Run(ctx) }()
				time.Sleep(1500 * time.Millisecond)
				began := time.Now()
				limit, stop := context.WithTimeout(ctx, 10*time.Second)
				defer stop()
				err := k.Drain(limit)
				if took := time.Since(began); took != tt.ends {
					t.Errorf("Drain took %v, want %v", took, tt.ends)
				}
				if wantErr := tt.ends == 10*time.Second; (err != nil) != wantErr {
					t.Errorf("Drain = %v, want an error: %t", err, wantErr)
				}
				if got := r.wishes(); tt.want != nil && !slices.Equal(got, tt.want) {
					t.Errorf("leases = %q, want %q", got, tt.want)
				}
				cancel()
				<-done
			})
		})
	}
}

// A hung Link never replies.
type hung struct{}

func (hung) Hold(ctx context.Context, _ Wanted, _ time.Duration) (Reply, error) {
	<-ctx.Done()
	return Reply{}, ctx.Err()
}

func TestKeeper_Run_ends_with_an_error_if_the_sidecar_is_silent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := script{letters: "-"}
		k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run}}, Link: hung{}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that the Down of the end is the first lease
		if err := k.Run(ctx); err == nil {
			t.Error("Run = nil, although the sidecar has not said that nothing is announced")
		}
	})
}

func TestKeeper_without_a_link_watches_only(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := script{letters: "+"}
		k := mustKeeper(t, KeeperOptions{Checks: []Check{{Name: "dns", Run: s.run}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(2500 * time.Millisecond)
		if s := k.Status(); !s.Health.Up {
			t.Errorf("Health = %+v after three good rounds, want up", s.Health)
		}
		if err := k.Drain(ctx); err != nil {
			t.Errorf("Drain = %v, want nil", err)
		}
		cancel()
		<-done
	})
}

func TestNewKeeper_refuses(t *testing.T) {
	pass := []Check{{Name: "dns", Run: func(context.Context) error { return nil }}}
	tests := []struct {
		name string
		o    KeeperOptions
		want string // in the error
	}{
		{"no checks", KeeperOptions{Link: newRecorder(), Prefixes: prefixes}, "Checks"},
		{"no prefixes", KeeperOptions{Checks: pass, Link: newRecorder()}, "Prefixes"},
		{"too often", KeeperOptions{Checks: pass, Every: time.Millisecond}, "Every"},
		{"a negative rise", KeeperOptions{Checks: pass, Rise: -1}, "Rise"},
		{"a negative fall", KeeperOptions{Checks: pass, Fall: -1}, "Fall"},
		{"a lease beyond the sidecar's limit", KeeperOptions{Checks: pass, Link: newRecorder(), Prefixes: prefixes, Lease: time.Minute}, "Lease"},
		{"a lease that ends before a failure is forgiven", KeeperOptions{Checks: pass, Link: newRecorder(), Prefixes: prefixes, Fall: 3}, "3.5s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewKeeper(tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
