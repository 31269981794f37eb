package sidecar

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestSidecar_withdraws_first_what_may_be_left(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.fail(errors.New("no daemon"))
	o := testOptions(t, r)
	start(t, o)
	limit := time.After(patience)
	for r.count() < 2 { // nobody has come, and it is tried again
		select {
		case <-r.change:
		case <-limit:
			t.Fatalf("Set was called %d times, want again after a failure", r.count())
		}
	}
	if !none(r.last()) {
		t.Errorf("routes = %+v, want none", r.last())
	}
}

// A leasing Speaker has routes that end.
type leasing struct {
	*recorder
	renewals chan error // what the next calls of Renew return
}

func (l leasing) Renew(context.Context) error { return <-l.renewals }

func TestSidecar_renews_by_its_loop(t *testing.T) {
	t.Parallel()
	l := leasing{newRecorder(), make(chan error)}
	o := testOptions(t, l.recorder)
	o.Speaker = l
	s := start(t, o)
	dial(t, o.Path).hold()
	awaitRenewal := func(err error) {
		t.Helper()
		select {
		case l.renewals <- err:
		case <-time.After(patience):
			t.Fatal("nothing is renewed")
		}
	}
	awaitRenewal(nil)
	awaitRenewal(nil)
	before := l.count()
	awaitRenewal(errors.New("the marker is gone"))
	limit := time.After(patience)
	for l.count() == before { // what could not be renewed is set again
		select {
		case <-l.change:
		case <-limit:
			t.Fatal("Set was not called after a renewal that failed")
		}
	}
	if n := s.Stats().SpeakerErrors; n != 1 {
		t.Errorf("%d errors of the speaker, want 1", n)
	}
	close(l.renewals)
}
