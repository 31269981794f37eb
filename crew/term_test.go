package crew

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTerm_Err_needsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, cancel := context.WithCancel(t.Context())
		long, short := Within(outer, time.Hour), Within(Within(outer, time.Second), time.Hour)
		if long.Err() != nil || short.Err() != nil {
			t.Errorf("Err = %v and %v before the end", long.Err(), short.Err())
		}
		time.Sleep(time.Second)
		if !errors.Is(short.Err(), context.DeadlineExceeded) || long.Err() != nil {
			t.Errorf("Err = %v and %v after the end of one", short.Err(), long.Err())
		}
		cancel()
		<-short.Cancelled()
		if !errors.Is(long.Err(), context.Canceled) {
			t.Errorf("Err = %v, want %v", long.Err(), context.Canceled)
		}
		if long.timed != nil || short.timed != nil {
			t.Error("a timer was made")
		}
	})
}

func TestTerm(t *testing.T) {
	tests := []struct {
		name  string
		outer time.Duration // 0 for none
		end   time.Duration
		after time.Duration // what it is a part of is cancelled; 0 for never
		lasts time.Duration
		err   error
	}{
		{"ends in its time", 0, time.Second, 0, time.Second, context.DeadlineExceeded},
		{"or when what it is a part of does", time.Second, time.Minute, 0, time.Second, context.DeadlineExceeded},
		{"or is cancelled", time.Hour, time.Minute, time.Second, time.Second, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outer, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.outer > 0 {
					outer, cancel = context.WithTimeout(outer, tt.outer)
					defer cancel()
				}
				began := time.Now()
				term := Within(outer, tt.end)
				defer term.Stop()
				if tt.after > 0 {
					time.AfterFunc(tt.after, cancel)
				} else if at, ok := term.Deadline(); !ok || at.Sub(began) != tt.lasts {
					t.Errorf("Deadline = %v, %t; want %v", at.Sub(began), ok, tt.lasts)
				}
				child, cancel := context.WithCancel(term)
				defer cancel()
				<-child.Done()
				<-term.Done()
				if lasted := time.Since(began); lasted != tt.lasts || !errors.Is(term.Err(), tt.err) {
					t.Errorf("ended after %v with %v, want %v and %v", lasted, term.Err(), tt.lasts, tt.err)
				}
			})
		})
	}
}
