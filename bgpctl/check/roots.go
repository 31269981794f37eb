package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	// someRoots is how many servers of the root are asked, at all of their
	// addresses: 4 of the 13, chosen anew each time. Fixed.
	someRoots = 4

	// rootsQuorum is how many different ones must answer: 2, so that one that
	// somebody on the way plays does not count. Fixed.
	rootsQuorum = 2

	// rootLimit bounds the wait for them: 2 s. The nearest of 4 is some 10 ms away.
	rootLimit = 2 * time.Second
)

// Roots returns what asks some of the servers, each given by its addresses, for
// the SOA of the root, from the source of their family. It bypasses the resolver
// and all that the resolver knows. nil means that two of them, or the only one,
// answered. It tells one fault from another; it is no check by itself.
func Roots(servers [][]netip.AddrPort, sources []netip.Addr) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, rootLimit)
		defer cancel()
		answered := make(chan int)
		asked := 0
		for i, n := range rand.Perm(len(servers)) {
			if i == someRoots {
				break
			}
			for _, at := range servers[n] {
				source, ok := from(at.Addr(), sources)
				if !ok {
					continue
				}
				asked++
				p := probe{server: at, source: source, network: "udp", timeout: rootLimit}
				go func() {
					if p.reach(ctx) == nil {
						answered <- n
					} else {
						answered <- -1
					}
				}()
			}
		}
		var good []int
		for range asked {
			if n := <-answered; n >= 0 && !slices.Contains(good, n) {
				good = append(good, n)
			}
		}
		if want := max(1, min(rootsQuorum, len(servers))); len(good) < want {
			return fmt.Errorf("%d servers of the root answered at %d addresses, not %d", len(good), asked, want)
		}
		return nil
	}
}

// from is the source for a question to at; ok is false if there are sources, but
// none of its family. Without any the kernel chooses.
func from(at netip.Addr, sources []netip.Addr) (source netip.Addr, ok bool) {
	for _, s := range sources {
		if s.Is4() == at.Is4() {
			return s, true
		}
	}
	return netip.Addr{}, len(sources) == 0
}

// reach asks for the SOA of the root and wants any reply to just that.
func (p probe) reach(ctx context.Context) error {
	q := new(dns.Msg).SetQuestion(".", dns.TypeSOA)
	q.RecursionDesired = false
	r, err := p.exchange(ctx, q)
	if err != nil {
		return err
	}
	return match(q, r)
}
