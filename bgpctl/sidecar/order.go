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
	event state.Event
	done  chan Status // holds one
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
	before := s.Status()
	o := order{state.Event{Kind: kind, Reason: word + " ordered by " + by}, make(chan Status, 1)}
	select {
	case s.orders <- o:
	case <-s.done:
		return Status{}, errors.New("the sidecar stops")
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
	select {
	case after := <-o.done:
		return after, meaningless(word, before, after)
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

// obey handles an order.
func (s *Sidecar) obey(o order) error {
	err := s.advance(o.event, s.now())
	s.publish(s.now())
	o.done <- s.Status()
	return err
}
