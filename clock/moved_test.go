//go:build testclock

package clock

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAt_isMovedByTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "offset")
	t.Setenv("PROXIMA_CLOCK_OFFSET_FILE", file)
	at := time.Now()
	if got := At(at); !got.Equal(at) {
		t.Errorf("without a file it is %v, want %v", got, at)
	}
	for text, want := range map[string]time.Duration{"+86400\n": 24 * time.Hour, "-60": -time.Minute, "+0": 0} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := At(at).Sub(at); got != want {
			t.Errorf("%q moves it by %v, want %v", text, got, want)
		}
	}
}

func TestWait_noticesThatTheClockIsMoved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "offset")
	t.Setenv("PROXIMA_CLOCK_OFFSET_FILE", file)
	done := make(chan error)
	go func() { done <- Wait(t.Context(), time.Now().Add(time.Hour)) }()
	if err := os.WriteFile(file+".new", []byte("+3601"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
