package bgpctl

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Check reports why this node is unfit to serve, or serves worse than others
// would, or nil.
type Check struct {
	Name string
	Run  func(context.Context) error

	// Class is what a failure means; the zero value is HardLocal. An error that
	// wraps a Fault has the Fault's class instead, except that only a HardLocal
	// check can be HardLocal: no other takes a route away, whatever it says.
	Class Class

	// Every is from run to run, more or less by a quarter, so that the nodes of a
	// fleet do not run theirs at once; 0 = with each round. A check with a period
	// of its own is not waited for.
	Every time.Duration
	Limit time.Duration // of one run, if Every is set; default: Every at most, and 5 s

	// Rise and Fall are the runs in a row that lift a fault and make one; by
	// default the Keeper's. What is hard-local and of each round has the Keeper's.
	Rise, Fall int

	// Answers says that a run which passed had an answer from this node.
	Answers bool

	// Excuse is called when a run begins, and returns what tells after it
	// whether a failure says nothing of this node: one of Run, or that Run came
	// to no result in time, which wraps context.DeadlineExceeded. nil = every
	// failure counts.
	Excuse func() (excused func(error) bool)
}

// defaultLimit bounds one run of a check that has a period of its own, if the
// check does not say. 5 s: a resolver has its answer or its failure by then.
const defaultLimit = 5 * time.Second

// fill sets what c leaves to the Keeper.
func (c *Check) fill(o *KeeperOptions) {
	if c.Class == Sound {
		c.Class = HardLocal
	}
	if c.Limit == 0 {
		c.Limit = min(defaultLimit, c.Every)
	}
	if c.Rise == 0 {
		c.Rise = o.Rise
	}
	if c.Fall == 0 {
		c.Fall = o.Fall
	}
}

func (c *Check) check() error {
	switch {
	case c.Run == nil:
		return errors.New("no Run is given")
	case c.Class > Shared:
		return fmt.Errorf("no class is %v", c.Class)
	case c.Every < 0 || c.Limit < 0 || c.Limit > c.Every:
		return fmt.Errorf("limit %v is not from 0 to Every, %v", c.Limit, c.Every)
	case c.Rise < 1 || c.Fall < 1:
		return fmt.Errorf("rise %d or fall %d is less than 1", c.Rise, c.Fall)
	}
	return nil
}

// isProof reports whether a round in which c passes may renew a lease.
func (c *Check) isProof() bool { return c.Class == HardLocal && c.Every == 0 }

// A Fault is an error that knows its class.
type Fault struct {
	Class Class
	Err   error
}

// Error is that of Err.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// classOf returns what a failure of c means.
func (c *Check) classOf(err error) Class {
	f, ok := errors.AsType[*Fault](err)
	if !ok || f.Class == Sound || f.Class == HardLocal {
		return c.Class
	}
	return f.Class
}
