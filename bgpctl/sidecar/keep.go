package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar/state"
	"proxima/disk"
)

// A kept is what outlives the process: an operator's word, and what makes a
// node that flaps wait. Times are on the wall, since another boot has another
// clock.
type kept struct {
	Version  int       `json:"version"`
	Drained  bool      `json:"drained"`
	Merit    float64   `json:"merit"` // at Written
	HoldDown time.Time `json:"hold_down"`
	Falls    int       `json:"falls"`
	Written  time.Time `json:"written"`
}

const (
	keptVersion = 1
	keptMode    = 0o644
	maxKept     = 4 << 10 // octets; a longer file is not ours
)

// recall returns the announcement to begin with. A file that is missing or
// cannot be read begins with nothing, and says so.
func (s *Sidecar) recall(at time.Duration) state.Announcement {
	begin := state.Announcement{Reason: "started", Since: at}
	if s.o.File == "" {
		return begin
	}
	k, err := readKept(s.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return begin
	}
	if err != nil {
		s.log.Warn("what was kept cannot be read", zap.String("file", s.o.File), zap.Error(err))
		return begin
	}
	return begin.Restore(state.Kept{
		Drained: k.Drained, Falls: k.Falls,
		HoldDown: at + max(time.Until(k.HoldDown), 0),
		Merit:    state.Merit{Value: k.Merit, At: at - max(time.Since(k.Written), 0)},
	}, at)
}

func readKept(file string) (kept, error) {
	f, err := os.Open(file)
	if err != nil {
		return kept{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKept+1))
	if err != nil {
		return kept{}, err
	}
	var k kept
	switch err := json.Unmarshal(text, &k); {
	case len(text) > maxKept:
		return kept{}, fmt.Errorf("is over %d octets long", maxKept)
	case err != nil:
		return kept{}, err
	case k.Version != keptVersion:
		return kept{}, fmt.Errorf("version %d, not %d", k.Version, keptVersion)
	}
	return k, nil
}

// keep asks the writer to write what changed; it never waits. An older wish
// that was not begun is forgotten.
func (s *Sidecar) keep(at time.Duration) {
	if s.o.File == "" {
		return
	}
	now := time.Now()
	w := s.a.Worth(at, s.o.Rules)
	k := kept{Version: keptVersion, Drained: w.Drained, Merit: w.Merit.Value, Falls: w.Falls, Written: now}
	if w.HoldDown > at {
		k.HoldDown = now.Add(w.HoldDown - at)
	}
	select {
	case <-s.keeps:
	default:
	}
	s.keeps <- k
}

// write writes what keep asks for, until keeps is closed.
func (s *Sidecar) write() {
	defer close(s.written)
	failed := ""
	for k := range s.keeps {
		err := disk.Replace(s.o.File, keptMode, func(w io.Writer) error { return json.NewEncoder(w).Encode(k) })
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			s.log.Warn("nothing is kept for the next start", zap.String("file", s.o.File), zap.Error(err))
		}
	}
}
