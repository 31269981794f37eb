package sidecar

import (
	"context"
	"errors"
	"testing"
	"time"

	"proxima/bgpctl"
)

// A chain is a Keeper with a real socket, a real sidecar and a recorder. The
// check passes until wedge is closed; then it hangs.
type chain struct {
	r     *recorder
	k     *bgpctl.Keeper
	stop  context.CancelFunc
	done  chan error
	wedge chan struct{}
}

func newChain(t *testing.T, fall int, lease time.Duration) *chain {
	t.Helper()
	c := &chain{r: newRecorder(), done: make(chan error, 1), wedge: make(chan struct{})}
	o := testOptions(t, c.r)
	o.Rules.Drain.Wait = 200 * time.Millisecond
	start(t, o)
	link := bgpctl.Dial(o.Path)
	k, err := bgpctl.NewKeeper(bgpctl.KeeperOptions{
		Checks: []bgpctl.Check{{Name: "dns", Run: func(ctx context.Context) error {
			select {
			case <-c.wedge:
				<-ctx.Done()
				return ctx.Err()
			default:
				return nil
			}
		}}},
		Link: link, Prefixes: prefixes, Every: 100 * time.Millisecond, Rise: 1, Fall: fall, Lease: lease,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.k = k
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	go func() { c.done <- k.Run(ctx) }()
	t.Cleanup(func() {
		c.stop()
		<-c.done
		link.Close()
	})
	c.r.await(t, "announced", both)
	return c
}

func TestChain_a_wedged_check_withdraws(t *testing.T) {
	t.Parallel()
	c := newChain(t, 2, bgpctl.MaxLease) // so that it is Down that withdraws
	close(c.wedge)
	c.r.await(t, "withdrawn", none)
}

// With so many failures forgiven, Down comes shortly before the lease ends at
// the earliest; whichever is first, the route goes.
func TestChain_a_wedged_check_withdraws_within_the_lease(t *testing.T) {
	t.Parallel()
	c := newChain(t, 9, bgpctl.MinLease)
	began := time.Now()
	close(c.wedge)
	c.r.await(t, "withdrawn", none)
	if took := time.Since(began); took > bgpctl.MinLease+patience/4 {
		t.Errorf("withdrawn after %v, want about %v", took, bgpctl.MinLease)
	}
}

func TestChain_a_drain_ends_with_the_withdrawal(t *testing.T) {
	t.Parallel()
	c := newChain(t, 9, bgpctl.MaxLease)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.k.Drain(ctx); err != nil {
		t.Fatalf("Drain = %v, want nil", err)
	}
	if !none(c.r.last()) {
		t.Errorf("routes = %+v, want none", c.r.last())
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if n := len(c.r.sets); n != 4 || len(c.r.sets[2]) != 2 || c.r.sets[2][0].Prepend != 3 {
		t.Errorf("sets = %+v, want nothing, announced, degraded, withdrawn", c.r.sets)
	}
}

func TestChain_a_stop_withdraws(t *testing.T) {
	t.Parallel()
	c := newChain(t, 9, bgpctl.MaxLease)
	c.stop()
	c.r.await(t, "withdrawn", none)
}

func TestChain_a_sidecar_that_comes_back_is_found(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	o := testOptions(t, r)
	link := bgpctl.Dial(o.Path)
	defer link.Close()
	want := bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: prefixes}
	if _, err := link.Hold(t.Context(), want, bgpctl.MinLease); !errors.Is(err, bgpctl.ErrEnded) {
		t.Errorf("Hold without a sidecar = %v, want ErrEnded", err)
	}
	for range 2 { // the second one finds the connection of the first dead
		s, err := Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx) }()
		deadline := time.Now().Add(patience)
		for {
			reply, err := link.Hold(t.Context(), want, bgpctl.MinLease)
			if err == nil && reply.State == bgpctl.Announced {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("Hold = %+v, %v; want ANNOUNCED", reply, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if reply, ok := link.State(); !ok || reply.State != bgpctl.Announced {
			t.Errorf("State = %+v, %t; want ANNOUNCED", reply, ok)
		}
		cancel()
		<-done
		if _, err := link.Hold(t.Context(), want, bgpctl.MinLease); !errors.Is(err, bgpctl.ErrEnded) {
			t.Errorf("Hold after the sidecar's end = %v, want ErrEnded", err)
		}
	}
}

func TestChain_a_late_reply_does_not_end_the_connection(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	link := bgpctl.Dial(o.Path)
	defer link.Close()
	want := bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: prefixes}
	if _, err := link.Hold(t.Context(), want, bgpctl.MaxLease); err != nil {
		t.Fatal(err)
	}
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); { // the reply may be there before the haste is seen
		_, err = link.Hold(hasty, want, bgpctl.MaxLease)
	}
	if err == nil || errors.Is(err, bgpctl.ErrEnded) {
		t.Errorf("Hold without time = %v, want an error other than ErrEnded", err)
	}
	if reply, err := link.Hold(t.Context(), want, bgpctl.MaxLease); err != nil || reply.State != bgpctl.Announced {
		t.Errorf("Hold = %+v, %v; want ANNOUNCED", reply, err)
	}
	if n := r.count(); n != 2 {
		t.Errorf("Set was called %d times, want 2: nothing was withdrawn", n)
	}
}

func TestChain_the_node_hears_of_the_sessions(t *testing.T) {
	t.Parallel()
	o := testOptions(t, newRecorder())
	o.Sessions = func() (up, all int) { return 1, 2 }
	start(t, o)
	link := bgpctl.Dial(o.Path)
	defer link.Close()
	want := bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: prefixes}
	if reply, err := link.Hold(t.Context(), want, bgpctl.MaxLease); err != nil || reply.SessionsUp != 1 || reply.Sessions != 2 {
		t.Errorf("Hold = %+v, %v; want 1 of 2 sessions", reply, err)
	}
}
