package iterate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"proxima/clock"
	"proxima/resolver/anchor"
	"proxima/resolver/limit"
	"proxima/resolver/phrase"

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
	return w.prime(ctx, phrase.Note{})
}

// Sight returns the keys of the root as its servers give them, for who keeps the
// trust anchors up to date (RFC 5011): not as a copy of it has them, which may be
// days old. If they cannot be had, there are none.
func (w *Walker) Sight(ctx context.Context) anchor.Sighting {
	b := NewBudget()
	b.Work = w.chain.NewWork()
	q := dns.Question{Name: ".", Qtype: dns.TypeDNSKEY, Qclass: dns.ClassINET}
	v, err := (&task{w: w, b: b, q: q, unchecked: true, afar: true}).find(ctx, q)
	if err != nil {
		return anchor.Sighting{}
	}
	set := v.Keys()
	s := anchor.Sighting{Sigs: set.Sigs, Valid: w.chain.Vouches(".", set, b.Work)}
	for _, rr := range set.RRs {
		if k, ok := rr.(*dns.DNSKEY); ok {
			s.Keys = append(s.Keys, k)
			if k.Flags&dns.REVOKE != 0 && w.chain.SignedBy(k, set, b.Work) {
				s.Revoked = append(s.Revoked, k)
			}
		}
	}
	return s
}

// Anchors returns the trust anchors of the root. Read only.
func (w *Walker) Anchors() []*dns.DS { return w.chain.Anchors(".") }

// Trust changes the trust anchors of the root.
func (w *Walker) Trust(ds []*dns.DS) {
	if w.chain.SetAnchors(".", ds) {
		w.primed.Store(nil) // it rests on the old ones
	}
}

// root returns the cut of the root: the primed one, made anew if its lease is
// over, or else the hints. Only one walk primes at a time; the others go on
// with what there is.
func (w *Walker) root(ctx context.Context, note phrase.Note) *Cut {
	if w.priming.TryLock() {
		defer w.priming.Unlock()
		if err := w.prime(ctx, note); err != nil && ctx.Err() == nil {
			note.Judged("the root could not be primed: " + err.Error())
			w.primed.Store(w.hinted(clock.Now().Add(hintsLife)))
		}
	}
	if cut := w.primed.Load(); cut != nil {
		return cut
	}
	return w.hinted(time.Time{})
}

// hinted returns the cut of the hints, with what the chain of trust begins with
// now.
func (w *Walker) hinted(lease time.Time) *Cut {
	cut := *w.hints
	cut.Trust, cut.Expires = w.chain.Root(clock.Now()), lease
	return &cut
}

// prime is Prime, with priming held.
func (w *Walker) prime(ctx context.Context, note phrase.Note) error {
	if w.stubs["."] != nil || w.forwards["."] != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, primeTimeout)
	defer cancel()
	q := dns.Question{Name: ".", Qtype: dns.TypeNS, Qclass: dns.ClassINET}
	t := &task{w: w, b: NewBudget(), q: q, note: note}
	v, err := t.ask(ctx, w.hints, q, limit.MaxFaults, nil)
	if err != nil {
		return err
	}
	at := clock.Now()
	v.zone = w.chain.Root(at)
	cut := w.descend(&Cut{Zone: "."}, w.withHints(v), at)
	if len(t.serversOf(cut, at).addrs) == 0 {
		return errNoRoot
	}
	w.counts.primes.Add(1)
	w.primed.Store(cut)
	w.onPrime(cut.Servers)
	return nil
}

// withHints adds the hinted addresses to the servers that a priming reply named
// without any: RFC 9609 section 4.2 lets servers leave out what does not fit.
func (w *Walker) withHints(v *verdict) *verdict {
	for _, s := range w.hints.Servers {
		if v.Glue == nil || len(v.Glue[s.Name]) > 0 {
			continue
		}
		for _, addr := range s.Addrs {
			v.Glue[s.Name] = append(v.Glue[s.Name], addr.Addr())
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
