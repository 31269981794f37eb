package trust

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A party sits at a bench, in virtual time.
type party struct {
	*bench
	all sync.WaitGroup

	mu      sync.Mutex // guards all below
	working int
	most    int            // that worked at once
	done    map[string]int // by zone
	refused map[error]int
}

// inParty runs a test at a bench with so many seats.
func inParty(t *testing.T, seats int, test func(t *testing.T, p *party)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &party{bench: newBench(seats), done: make(map[string]int), refused: make(map[error]int)}
		test(t, p)
		p.all.Wait()
		p.bench.mu.Lock()
		defer p.bench.mu.Unlock()
		if p.free != seats || p.lines.waiting != 0 || p.lines.working != 0 || len(p.lines.below) != 0 {
			t.Errorf("in the end %d seats of %d are free, and of the lines is left %+v", p.free, seats, p.lines)
		}
	})
}

// work does work for a zone that takes so long.
func (p *party) work(ctx context.Context, zone string, takes time.Duration) error {
	err := p.do(ctx, zone, func() {
		p.note(func() { p.working++; p.most = max(p.most, p.working) })
		time.Sleep(takes)
		p.note(func() { p.working--; p.done[zone]++ })
	})
	if err != nil {
		p.note(func() { p.refused[err]++ })
	}
	return err
}

func (p *party) note(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
}

// come has n come for a zone, in whose name # is their number, and waits until all
// sit or stand.
func (p *party) come(t *testing.T, n int, zone string, takes time.Duration) {
	for i := range n {
		p.all.Go(func() { _ = p.work(t.Context(), numbered(zone, i), takes) })
		synctest.Wait()
	}
}

func numbered(zone string, i int) string { return strings.ReplaceAll(zone, "#", fmt.Sprint(i)) }

func TestBench_hasFewSeats(t *testing.T) {
	inParty(t, 3, func(t *testing.T, p *party) {
		p.come(t, 20, "example.", time.Millisecond)
		p.all.Wait()
		if p.most != 3 || p.done["example."] != 20 {
			t.Errorf("%d at once and %d in all, want 3 and 20", p.most, p.done["example."])
		}
	})
}

func TestBench_refusesWhatItCannotDo(t *testing.T) {
	inParty(t, 2, func(t *testing.T, p *party) {
		p.come(t, 2+maxQueue, "example.", time.Millisecond)
		if err := p.work(t.Context(), "example.", 0); !errors.Is(err, ErrBusy) {
			t.Errorf("with a full queue: %v", err)
		}
		p.all.Wait()
		if err := p.work(t.Context(), "example.", 0); err != nil {
			t.Errorf("with an empty one: %v", err)
		}
	})
}

func TestBench_waitsNoLongerThanAllowed(t *testing.T) {
	inParty(t, 1, func(t *testing.T, p *party) {
		p.come(t, 1, "example.", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.work(ctx, "example.", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// A zone made to cost work has a quarter of the queue, and so have all zones of
// whoever has made it.
func TestBench_aNameHasAShare(t *testing.T) {
	for _, zone := range []string{"trap.example.", "z#.trap.example.", "a.b.c.z#.trap.example."} {
		t.Run(zone, func(t *testing.T) {
			inParty(t, 1, func(t *testing.T, p *party) {
				p.come(t, 1+maxQueue, zone, time.Millisecond)
				if got, want := p.refused[ErrShare], maxQueue-maxShare; got != want {
					t.Errorf("%d refused, want %d", got, want)
				}
				for _, other := range []string{"sound.example.", "www.sound.example.", "example.", "."} {
					if err := p.work(t.Context(), other, 0); err != nil {
						t.Errorf("%s: %v", other, err)
					}
				}
			})
		})
	}
}

// Where several names fill the queue, who comes with less than they have takes
// the place of the last of them.
func TestBench_aFullQueueMakesRoom(t *testing.T) {
	inParty(t, 1, func(t *testing.T, p *party) {
		p.come(t, 1, ".", time.Millisecond)
		for i := range maxQueue / maxShare {
			p.come(t, maxShare, numbered("trap#.example.", i), time.Millisecond)
		}
		for _, other := range []string{"sound.example.", "www.sound.example.", "example.", "."} {
			p.come(t, 1, other, 0)
		}
		p.all.Wait()
		if p.refused[ErrShare] != 4 || p.refused[ErrBusy] != 0 {
			t.Errorf("refused: %v, want four for the share", p.refused)
		}
		for _, other := range []string{"sound.example.", "www.sound.example.", "example."} {
			if p.done[other] != 1 {
				t.Errorf("%s was not served", other)
			}
		}
	})
}

// A sound zone needs ten proofs, one after the other, of 0.1 ms; zones made to
// cost as much as a query may, in every place that they can have. None of its
// proofs waits for more than one of each enemy.
func TestBench_takesTurns(t *testing.T) {
	const dear, cheap = 15 * time.Millisecond, 100 * time.Microsecond
	for _, tt := range []struct {
		name    string
		traps   []string
		enemies int
	}{
		{"one zone", []string{"trap.example."}, 1},
		{"many zones below one name", []string{"z#.trap.example."}, 1},
		{"two names", []string{"trap.example.", "z#.bad.example."}, 2},
		{"zones of another top-level domain", []string{"a#.invalid.", "b.invalid."}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inParty(t, 1, func(t *testing.T, p *party) {
				stop := make(chan struct{})
				for _, zone := range tt.traps {
					for i := range maxShare + 1 {
						p.all.Go(func() {
							for {
								select {
								case <-stop:
									return
								default:
								}
								if p.work(t.Context(), numbered(zone, i), dear) != nil {
									time.Sleep(dear)
								}
							}
						})
					}
				}
				synctest.Wait()
				for range 10 {
					began := time.Now()
					if err := p.work(t.Context(), "sound.example.", cheap); err != nil {
						t.Error(err)
					}
					if took, most := time.Since(began), time.Duration(1+tt.enemies)*dear+cheap; took > most {
						t.Errorf("a proof took %v, want %v at most", took, most)
					}
				}
				close(stop)
			})
		})
	}
}
