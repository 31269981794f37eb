package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxClaims bounds the names of claims. 16, not configurable: others than
	// daemons may take some, and each is looked at.
	maxClaims = 16

	// claimPause is waited after Accept has failed, as for want of descriptors.
	claimPause = 100 * time.Millisecond
)

// A claim makes this process the one that holds anycast addresses in its
// network namespace: a second one, started by mistake, would take them away
// when it ends. It is an abstract Unix socket (unix(7)), which belongs to the
// network namespace and ends with the process, however that ends. Any user may
// bind its name, so the owner counts: only root's and those of our own user are
// claims, and where somebody else has a name there is a further one.
type claim struct {
	listener net.Listener
	ended    chan struct{} // closed when nobody is answered any more
}

func claimName(n int) string { return "@proxima/anycast/" + strconv.Itoa(n) }

// claimAddresses takes the first free name, and then looks whether another
// daemon has one: of two that start at once, one sees the other. Nil says that
// there is no name left; then the addresses go unclaimed, for nobody but root may
// keep the node from its work.
func claimAddresses() (*claim, error) {
	var c *claim
	var own string
	for n := 0; n < maxClaims && c == nil; n++ {
		l, err := net.Listen("unix", claimName(n))
		if err != nil && !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		if err == nil {
			own = claimName(n)
			c = &claim{l, make(chan struct{})}
			go c.answer()
		}
	}
	for _, h := range claimHolders() {
		if h.name == own || h.foreign() {
			continue
		}
		return nil, errors.Join(fmt.Errorf("another proxima holds the anycast addresses of this network namespace: %v", h), c.Close())
	}
	return c, nil
}

// answer lets others see who holds the claim.
func (c *claim) answer() {
	defer close(c.ended)
	for {
		conn, err := c.listener.Accept()
		switch {
		case err == nil:
			_ = conn.Close() // what is to be known was known when it connected
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(claimPause)
		}
	}
}

// Close gives up the claim, if there is one.
func (c *claim) Close() error {
	if c == nil {
		return nil
	}
	err := c.listener.Close()
	<-c.ended
	return err
}

// A claimHolder is who has the name of a claim.
type claimHolder struct {
	name string
	cred *unix.Ucred // nil = it does not answer, as a daemon would
}

// foreign reports whether the name is no claim.
func (h claimHolder) foreign() bool {
	return h.cred == nil || h.cred.Uid != 0 && h.cred.Uid != uint32(os.Geteuid())
}

// String says who it is.
func (h claimHolder) String() string {
	if h.cred == nil {
		return "somebody has " + h.name
	}
	return fmt.Sprintf("process %d of user %d has %s", h.cred.Pid, h.cred.Uid, h.name)
}

// claimHolders returns who has the names of claims.
func claimHolders() []claimHolder {
	var all []claimHolder
	for n := range maxClaims {
		conn, err := net.Dial("unix", claimName(n)) // which never waits: a full queue is an error
		switch {
		case errors.Is(err, unix.ECONNREFUSED): // nobody, or nobody who listens
		case err != nil:
			all = append(all, claimHolder{name: claimName(n)})
		default:
			all = append(all, claimHolder{claimName(n), peer(conn.(*net.UnixConn))})
			_ = conn.Close()
		}
	}
	return all
}

// peer returns who listened at the other end; nil = the kernel does not say.
func peer(conn *net.UnixConn) *unix.Ucred {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil || err != nil {
		return nil
	}
	return cred
}
