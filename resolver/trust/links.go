package trust

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"proxima/clock"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// linkPatience is how long a walk waits for another one that asks for the same
	// link of the chain, before it asks, too: 1 s. It bounds what two walks wait
	// that each have what the other needs.
	linkPatience = time.Second

	// brokenTableSize is how many links that could not be had are remembered,
	// about 300 octets each.
	brokenTableSize = 4_096
)

// A link is one of the chain of trust: the DS or the DNSKEY of a place.
type link struct {
	place
	typ uint16
}

// links are those that are being asked for, and those that were asked for in
// vain. A popular zone whose keys are over is asked once, whatever the number of
// its names that are asked for, and a broken one, too (RFC 9520 section 3.1).
type links struct {
	mu     sync.Mutex // guards asking
	asking map[link]chan struct{}

	broken *lru.Cache[link, broken]
}

// A broken link is one that could not be had.
type broken struct {
	err   error
	until time.Time
}

func newLinks() (*links, error) {
	table, err := lru.New[link, broken](brokenTableSize)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return &links{asking: make(map[link]chan struct{}), broken: table}, nil
}

// join asks for a link, unless somebody else does or has just done so in vain.
// asked is false if somebody else did, and got it.
func (s *links) join(ctx context.Context, l link, ask func() error) (asked bool, err error) {
	if err := s.recall(l); err != nil {
		return true, err
	}
	s.mu.Lock()
	others := s.asking[l]
	if others == nil {
		mine := make(chan struct{})
		s.asking[l] = mine
		defer func() {
			s.mu.Lock()
			delete(s.asking, l)
			s.mu.Unlock()
			close(mine)
		}()
	}
	s.mu.Unlock()
	if others != nil {
		late := time.NewTimer(linkPatience)
		defer late.Stop()
		select {
		case <-others:
			err := s.recall(l)
			return err != nil, err
		case <-late.C:
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
	err = ask()
	s.note(l, err)
	return true, err
}

// recall returns why a link is not asked for again yet, or nil.
func (s *links) recall(l link) error {
	if b, ok := s.broken.Get(l); ok && clock.Now().Before(b.until) {
		return b.err
	}
	return nil
}

// note remembers an error for as long as it says that it lasts.
func (s *links) note(l link, err error) {
	var lasting interface{ Lasts() time.Duration }
	if errors.As(err, &lasting) && lasting.Lasts() > 0 {
		s.broken.Add(l, broken{err, clock.Now().Add(lasting.Lasts())})
	}
}
