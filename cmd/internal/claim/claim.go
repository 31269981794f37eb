// Package claim lets one process of a network namespace hold the anycast
// addresses: a second one, started by mistake, would take them away when it ends.
//
// A claim is an abstract Unix socket (unix(7)), which belongs to the network
// namespace and ends with the process, however that ends. Any user may bind its
// name, so the owner counts: only root's and those of our own user are claims,
// and where somebody else has a name there is a further one.
package claim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"proxima/cmd/internal/peer"
)

const (
	// Max bounds the names of claims. 16, not configurable: others than
	// daemons may take some, and each is looked at.
	Max = 16

	// pause is waited after Accept has failed, as for want of descriptors.
	pause = 100 * time.Millisecond
)

// A Claim is held by this process until Close or its end. Nil is none.
type Claim struct {
	listener net.Listener
	ended    chan struct{} // closed when nobody is answered any more
}

// Name is the name of the n-th claim, from 0 to Max.
func Name(n int) string { return "@proxima/anycast/" + strconv.Itoa(n) }

// Take takes the first free name, and then looks whether another
// daemon has one: of two that start at once, one sees the other. Nil says that
// there is no name left; then the addresses go unclaimed, for nobody but root may
// keep the node from its work.
func Take() (*Claim, error) {
	var c *Claim
	var own string
	for n := 0; n < Max && c == nil; n++ {
		l, err := net.Listen("unix", Name(n))
		if err != nil && !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		if err == nil {
			own = Name(n)
			c = &Claim{l, make(chan struct{})}
			go c.answer()
		}
	}
	for _, h := range Holders() {
		if h.name == own || h.Foreign() {
			continue
		}
		return nil, errors.Join(fmt.Errorf("another proxima holds the anycast addresses of this network namespace: %v", h), c.Close())
	}
	return c, nil
}

// answer lets others see who holds the claim.
func (c *Claim) answer() {
	defer close(c.ended)
	for {
		conn, err := c.listener.Accept()
		switch {
		case err == nil:
			_ = conn.Close() // what is to be known was known when it connected
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(pause)
		}
	}
}

// Close gives up the claim, if there is one.
func (c *Claim) Close() error {
	if c == nil {
		return nil
	}
	err := c.listener.Close()
	<-c.ended
	return err
}

// A Holder is who has the name of a claim.
type Holder struct {
	name string
	cred *unix.Ucred // nil = it does not answer, as a daemon would
}

// Foreign reports whether the name is no claim.
func (h Holder) Foreign() bool {
	return h.cred == nil || h.cred.Uid != 0 && h.cred.Uid != uint32(os.Geteuid())
}

// String says who it is.
func (h Holder) String() string {
	if h.cred == nil {
		return "somebody has " + h.name
	}
	return fmt.Sprintf("process %d of user %d has %s", h.cred.Pid, h.cred.Uid, h.name)
}

// Holders returns who has the names of claims.
func Holders() []Holder {
	var all []Holder
	for n := range Max {
		conn, err := net.Dial("unix", Name(n)) // which never waits: a full queue is an error
		switch {
		case errors.Is(err, unix.ECONNREFUSED): // nobody, or nobody who listens
		case err != nil:
			all = append(all, Holder{name: Name(n)})
		default:
			all = append(all, Holder{Name(n), peer.Of(conn.(*net.UnixConn))})
			_ = conn.Close()
		}
	}
	return all
}
