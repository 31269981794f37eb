package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := Now()
		if err := Wait(t.Context(), began.Add(time.Hour)); err != nil || Since(began) != time.Hour {
			t.Errorf("waited %v, want 1 h; error %v", Since(began), err)
		}
		if err := Wait(t.Context(), began); err != nil || Since(began) != time.Hour {
			t.Errorf("waited for what is over: %v; error %v", Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Wait(ctx, Now().Add(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

func TestSooner(t *testing.T) {
	var never time.Time
	now := Now()
	tests := []struct {
		name       string
		a, b, want time.Time
	}{
		{"no end at all", never, never, never},
		{"only the first ends", now, never, now},
		{"only the second ends", never, now, now},
		{"the first is sooner", now, now.Add(1), now},
		{"the second is sooner", now.Add(1), now, now},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Sooner(tt.a, tt.b); !got.Equal(tt.want) {
				t.Errorf("Sooner = %v, want %v", got, tt.want)
			}
		})
	}
}
