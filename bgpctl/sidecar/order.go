package sidecar

import (
	"context"
	"errors"
	"fmt"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar/state"
)

// An order is an operator's, on its way to Serve.
type order struct {
	word  string
	event state.Event
	done  chan outcome // holds one
}

// An outcome is what became of an order.
type outcome struct {
	after Status
	err   error
}

// orders are the words that Order takes.
var orders = map[string]state.Kind{
	"drain":    state.OrderDrain,
	"undrain":  state.OrderUndrain,
	"withdraw": state.OrderWithdraw,
	"freeze":   state.OrderFreeze,
	"unfreeze": state.OrderUnfreeze,
}

// Order does what an operator says in one word: drain, undrain, withdraw, freeze
// or unfreeze. It returns the status that follows, or an error if the word has
// no meaning in the state that was.
func (s *Sidecar) Order(ctx context.Context, word, by string) (Status, error) {
	kind, ok := orders[word]
	if !ok {
		return Status{}, fmt.Errorf("%q is no order: there are drain, undrain, withdraw, freeze and unfreeze", word)
	}
	o := order{word, state.Event{Kind: kind, Reason: word + " ordered by " + by}, make(chan outcome, 1)}
	select {
	case s.orders <- o:
	case <-s.done:
		return Status{}, errors.New("the sidecar stops")
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
	select {
	case out := <-o.done:
		return out.after, out.err
	case <-s.done:
		return Status{}, errors.New("the sidecar stops")
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

// meaningless says why an order has changed nothing, or nil.
func meaningless(word string, before, after Status) error {
	if before.State != after.State || before.Drained != after.Drained {
		return nil
	}
	switch {
	case word == "undrain":
		return fmt.Errorf("there is no drain to call off: the state is %v", after.State)
	case word == "unfreeze":
		return fmt.Errorf("there is no freeze to end: the state is %v", after.State)
	case word == "freeze" && after.State != bgpctl.Frozen:
		return fmt.Errorf("%v is an operator's already, and cannot be frozen", after.State)
	}
	return nil
}

// obey handles an order. What it is compared with is published before, as the
// state may have changed since that was done.
func (s *Sidecar) obey(o order) error {
	s.publish(s.now())
	before := s.Status()
	err := s.advance(o.event, s.now())
	s.publish(s.now())
	after := s.Status()
	o.done <- outcome{after, meaningless(o.word, before, after)}
	return err
}
