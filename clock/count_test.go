package clock

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name string
		at   time.Time
	}{
		{"a time of the process", now},
		{"a time before it", now.Add(-48 * time.Hour)},
		{"a time of the calendar", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Counted(Count(tt.at)); !got.Equal(tt.at) {
				t.Errorf("Counted(Count(t)) = %v, want %v", got, tt.at)
			}
			later := tt.at.Add(time.Minute)
			if got := Count(later) - Count(tt.at); got != time.Minute {
				t.Errorf("a minute later counts %v more", got)
			}
		})
	}
}
