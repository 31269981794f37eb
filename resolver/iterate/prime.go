package iterate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"proxima/resolver/anchor"

	"github.com/miekg/dns"
)

// errNoRoot says that priming got a reply without the address of a server.
var errNoRoot = errors.New("iterate: .: the root named no server with an address")

// Prime asks one of the hinted servers for the root's own servers, RFC 9609;
// walks begin there until that lease ends. It does nothing if a configured zone
// stands at the root. Walks prime by themselves; calling it first shows whether
// the Internet is there.
func (w *Walker) Prime(ctx context.Context) error {
	w.priming.Lock()
	defer w.priming.Unlock()
	return w.prime(ctx)
}

// root returns the cut of the root: the primed one, made anew if its lease is
// over, or else the hints. Only one walk primes at a time; the others go on
// with what there is.
func (w *Walker) root(ctx context.Context) *Cut {
	if w.priming.TryLock() {
		defer w.priming.Unlock()
		if err := w.prime(ctx); err != nil && ctx.Err() == nil {
			hints := *w.hints
			hints.Expires = time.Now().Add(hintsLife)
			w.primed.Store(&hints)
		}
	}
	if cut := w.primed.Load(); cut != nil {
		return cut
	}
	return w.hints
}

// prime is Prime, with priming held.
func (w *Walker) prime(ctx context.Context) error {
	if w.stubs["."] != nil || w.forwards["."] != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, primeTimeout)
	defer cancel()
	q := dns.Question{Name: ".", Qtype: dns.TypeNS, Qclass: dns.ClassINET}
	t := &task{w: w, b: NewBudget(), q: q}
	v, err := t.ask(ctx, w.hints, q, maxFaults)
	if err != nil {
		return err
	}
	at := time.Now()
	cut := w.descend(&Cut{Zone: "."}, w.withHints(v), at)
	if len(t.serversOf(cut, at).addrs) == 0 {
		return errNoRoot
	}
	w.counts.primes.Add(1)
	w.primed.Store(cut)
	return nil
}

// withHints adds the hinted addresses to the servers that a priming reply named
// without any: RFC 9609 section 4.2 lets servers leave out what does not fit.
func (w *Walker) withHints(v *verdict) *verdict {
	for _, s := range w.hints.Servers {
		if v.glue == nil || len(v.glue[s.Name]) > 0 {
			continue
		}
		for _, addr := range s.Addrs {
			v.glue[s.Name] = append(v.glue[s.Name], addr.Addr())
		}
	}
	return v
}

// hintsCut makes the cut of the hints. Its lease is over: the first walk primes.
func (w *Walker) hintsCut(hints []anchor.Server) *Cut {
	cut := &Cut{Zone: "."}
	for _, h := range hints {
		s := Server{Name: dns.CanonicalName(h.Name)}
		for _, addr := range h.Addrs {
			s.Addrs = append(s.Addrs, netip.AddrPortFrom(addr, w.port))
		}
		cut.Servers = append(cut.Servers, s)
	}
	return cut
}
