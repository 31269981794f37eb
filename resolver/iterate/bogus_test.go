package iterate

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/resolver/dnssec"
	"proxima/resolver/trust"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// without returns a Spoofer that leaves records out of replies.
func without(out func(q dns.Question, rr dns.RR) bool) sim.Spoofer {
	return func(q, honest *dns.Msg, _ bool) *dns.Msg {
		for _, section := range []*[]dns.RR{&honest.Answer, &honest.Ns} {
			*section = slices.DeleteFunc(*section, func(rr dns.RR) bool { return out(q.Question[0], rr) })
		}
		return honest
	}
}

// forge returns a Spoofer that changes records in replies.
func forge(change func(rr dns.RR)) sim.Spoofer {
	return func(_, honest *dns.Msg, _ bool) *dns.Msg {
		for _, rr := range slices.Concat(honest.Answer, honest.Ns) {
			change(rr)
		}
		return honest
	}
}

// covers reports whether rr is a record of typ or a signature over such.
func covers(rr dns.RR, typ uint16) bool {
	sig, ok := rr.(*dns.RRSIG)
	return ok && sig.TypeCovered == typ || rr.Header().Rrtype == typ
}

func isSignature(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }

func TestWalker_Lookup_refusesWhatIsNotProven(t *testing.T) {
	one := []netip.Addr{oneAddr, twoAddr}
	parent := []netip.Addr{tldAddr}
	tests := []struct {
		name     string
		question string
		at       []netip.Addr
		lie      sim.Spoofer
		want     string
	}{
		{"another address", "www.one.example. A", one, forge(func(rr dns.RR) {
			if a, ok := rr.(*dns.A); ok {
				a.A[3]++
			}
		}), "error 6 wrong signature by one.example./13/29196"},
		{"no signature", "www.one.example. A", one, without(func(q dns.Question, rr dns.RR) bool {
			return q.Qtype == dns.TypeA && isSignature(rr)
		}), "error 10 no signature of A"},
		{"no signature anywhere", "www.one.example. A", one, without(func(_ dns.Question, rr dns.RR) bool { return isSignature(rr) }),
			"error 10 no signature of DNSKEY"},
		{"no keys", "www.one.example. A", one, without(func(_ dns.Question, rr dns.RR) bool { return covers(rr, dns.TypeDNSKEY) }),
			"error 9 no DNSKEY"},
		{"other keys", "www.one.example. A", one, forge(func(rr dns.RR) {
			if k, ok := rr.(*dns.DNSKEY); ok {
				k.Flags = 256
			}
		}), "error 9 no key 13/29196 for its DS"},
		{"keys that are none", "www.one.example. A", one, forge(func(rr dns.RR) {
			if k, ok := rr.(*dns.DNSKEY); ok {
				k.Flags = 0
			}
		}), "error 9 no key 13/29196 for its DS"},
		{"a denial without proof", "no.one.example. A", one, without(func(_ dns.Question, rr dns.RR) bool { return covers(rr, dns.TypeNSEC) }),
			"error 12 no NSEC or NSEC3 proves that there is no such name"},
		{"no name, where only the type is not there", "www.one.example. MX", one, func(_, honest *dns.Msg, _ bool) *dns.Msg {
			if len(honest.Answer) == 0 {
				honest.Rcode = dns.RcodeNameError
			}
			return honest
		}, "error 12 no NSEC or NSEC3 proves that there is no such name"},
		{"a wildcard without its proof", "a.wild.one.example. A", one, without(func(_ dns.Question, rr dns.RR) bool { return covers(rr, dns.TypeNSEC) }),
			"error 12 no NSEC or NSEC3 proves that nothing is closer than *.wild.one.example."},
		{"a referral without its DS", "www.one.example. A", parent, without(func(q dns.Question, rr dns.RR) bool {
			return covers(rr, dns.TypeDS)
		}), "error 12 no NSEC or NSEC3 proves that there is no DS"},
		{"a referral without proof that there is no DS", "www.bare.example. A", parent, without(func(_ dns.Question, rr dns.RR) bool { return covers(rr, dns.TypeNSEC) }),
			"error 12 no NSEC or NSEC3 proves that there is no DS"},
		{"an unsigned answer for a signed zone on its parent's server", "www.hidden.example. A", parent, without(func(q dns.Question, rr dns.RR) bool {
			return q.Qtype == dns.TypeA && isSignature(rr)
		}), "error 10 no signature of A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				for _, at := range tt.at {
					n.Spoof(at, tt.lie)
				}
				if got := mustAsk(t, mustWalker(t, n, secured(n)), tt.question); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if n := n.Exchanges(); n > 25 {
					t.Errorf("%d exchanges", n)
				}
			})
		})
	}
}

func TestWalker_Lookup_asksForDSThatReferralsLack(t *testing.T) {
	for _, tt := range []struct {
		question string
		secure   bool
	}{{"www.one.example. A", true}, {"www.bare.example. A", false}} {
		t.Run(tt.question, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				n.Spoof(tldAddr, without(func(q dns.Question, rr dns.RR) bool {
					return q.Qtype == dns.TypeA && (covers(rr, dns.TypeDS) || covers(rr, dns.TypeNSEC))
				}))
				got, secure := mustProve(t, mustWalker(t, n, secured(n)), tt.question)
				if got[:7] != "NOERROR" || secure != tt.secure {
					t.Errorf("got %s, %t", got, secure)
				}
			})
		})
	}
}

func TestWalker_Lookup_asksAnotherServerForProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		n.Spoof(oneAddr, without(func(_ dns.Question, rr dns.RR) bool { return isSignature(rr) }))
		w := mustWalker(t, n, secured(n))
		for _, q := range []string{"www.one.example. A", "no.one.example. A", "a.wild.one.example. A"} {
			if got, secure := mustProve(t, w, q); !secure {
				t.Errorf("%s: got %s", q, got)
			}
		}
	})
}

func TestWalker_Lookup_obeysTheOperator(t *testing.T) {
	begun := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // synctest's
	tests := []struct {
		name     string
		question string
		change   func(*trust.Options)
		want     string
		secure   bool
	}{
		{"no anchor, no trust", "www.one.example. A", func(o *trust.Options) { o.Anchors = nil }, "NOERROR", false},
		{"a wrong anchor proves nothing", "www.one.example. A", func(o *trust.Options) {
			ds := *o.Anchors[0]
			ds.Digest = "00" + ds.Digest[2:]
			o.Anchors = []*dns.DS{&ds}
		}, "error 9", false},
		{"an exception ends trust", "www.one.example. A", func(o *trust.Options) { o.Exceptions = []trust.Exception{{Zone: "one.example"}} }, "NOERROR", false},
		{"but not beside it", "www.hidden.example. A", func(o *trust.Options) { o.Exceptions = []trust.Exception{{Zone: "one.example"}} }, "NOERROR", true},
		{"also on its parent's server", "www.hidden.example. A", func(o *trust.Options) { o.Exceptions = []trust.Exception{{Zone: "hidden.example"}} }, "NOERROR", false},
		{"and below", "www.below.hidden.example. A", func(o *trust.Options) { o.Exceptions = []trust.Exception{{Zone: "hidden.example"}} }, "NOERROR", false},
		{"one that is over does not", "www.one.example. A", func(o *trust.Options) {
			o.Exceptions = []trust.Exception{{Zone: "one.example", Until: begun}}
		}, "NOERROR", true},
		{"one that is not over does", "www.one.example. A", func(o *trust.Options) {
			o.Exceptions = []trust.Exception{{Zone: "one.example", Until: begun.Add(time.Hour)}}
		}, "NOERROR", false},
		{"signatures are judged for a given time: after them", "www.one.example. A", func(o *trust.Options) { o.Time = begun.Add(60 * 24 * time.Hour) }, "error 7", false},
		{"and before them", "www.one.example. A", func(o *trust.Options) { o.Time = begun.Add(-60 * 24 * time.Hour) }, "error 8", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				w := mustWalker(t, n, func(o *Options) {
					secured(n)(o)
					tt.change(&o.Trust)
				})
				got, secure := mustProve(t, w, tt.question)
				if got[:len(tt.want)] != tt.want || secure != tt.secure {
					t.Errorf("got %s, %t, want %s, %t", got, secure, tt.want, tt.secure)
				}
			})
		})
	}
}

func TestWalker_Lookup_trustsIslands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		w := mustWalker(t, n, func(o *Options) {
			for _, zone := range []string{"one.example.", "hidden.example."} {
				o.Trust.Anchors = append(o.Trust.Anchors, mustDS(t, n, zone))
			}
		})
		for q, want := range map[string]bool{"www.one.example. A": true, "www.hidden.example. A": true, "www.below.hidden.example. A": true, "empty.non.terminal.example. A": false} {
			if got, secure := mustProve(t, w, q); secure != want {
				t.Errorf("%s: got %s, %t", q, got, secure)
			}
		}
	})
}

// mustDS returns the DS of a zone as its parent has it.
func mustDS(t testing.TB, n *sim.Internet, zone string) *dns.DS {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(zone, dns.TypeDS)
	m := n.Reply(tldAddr, q, true)
	if len(m.Answer) == 0 {
		t.Fatalf("no DS of %s: %v", zone, m)
	}
	return m.Answer[0].(*dns.DS)
}

func TestWalker_Lookup_validatesWhatItForwards(t *testing.T) {
	tests := []struct {
		name     string
		zone     string
		question string
		want     string
		secure   bool
	}{
		{"everything: a signed zone", ".", "www.one.example. A", "NOERROR", true},
		{"everything: a zone without DS", ".", "www.bare.example. A", "NOERROR", false},
		{"everything: a denial", ".", "no.one.example. A", "NXDOMAIN", true},
		{"everything: an alias out of trust", ".", "to-bare.one.example. A", "NOERROR", false},
		{"everything: an alias into trust", ".", "to-one.bare.example. A", "NOERROR", false},
		{"everything: an alias within trust", ".", "to-hidden.one.example. A", "NOERROR", true},
		{"everything: DS", ".", "one.example. DS", "NOERROR", true},
		{"a signed zone", "one.example.", "www.one.example. A", "NOERROR", true},
		{"a zone without DS", "bare.example.", "www.bare.example. A", "NOERROR", false},
		{"a name that the Internet has no zone for", "empty.non.terminal.example.", "empty.non.terminal.example. A", "NOERROR", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				forwarder := mustWalker(t, n, nil)
				at := netip.MustParseAddr("192.0.2.53")
				w := mustWalker(t, relay{n, at, forwarder}, func(o *Options) {
					secured(n)(o)
					o.Zones = []Zone{{Name: tt.zone, Servers: []netip.AddrPort{netip.AddrPortFrom(at, 53)}, Recursive: true}}
				})
				got, secure := mustProve(t, w, tt.question)
				if got[:len(tt.want)] != tt.want || secure != tt.secure {
					t.Errorf("got %s, %t, want %s, %t", got, secure, tt.want, tt.secure)
				}
			})
		})
	}
}

// A relay is an Internet with a resolver at one address.
type relay struct {
	Exchanger
	at       netip.Addr
	resolver *Walker
}

// Exchange asks the resolver what is sent to its address.
func (r relay) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	if to.Addr() != r.at {
		return r.Exchanger.Exchange(ctx, to, q, stream)
	}
	if !q.CheckingDisabled || !q.RecursionDesired || !q.IsEdns0().Do() {
		return nil, fmt.Errorf("asked without RD, CD and DO: %v", q)
	}
	a, err := r.resolver.Lookup(ctx, q.Question[0], NewBudget())
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if err := m.Unpack(a.Packet()); err != nil {
		return nil, err
	}
	m.Id, m.RecursionAvailable = q.Id, true
	return m, nil
}

func TestWalker_Lookup_keepsStubZonesInTrust(t *testing.T) {
	for question, secure := range map[string]bool{"www.one.example. A": true, "no.one.example. A": true, "www.bare.example. A": false} {
		t.Run(question, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				w := mustWalker(t, n, func(o *Options) {
					secured(n)(o)
					o.Zones = []Zone{
						{Name: "one.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(oneAddr, 53)}},
						{Name: "bare.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}},
					}
				})
				if got, is := mustProve(t, w, question); is != secure || got[0] != 'N' {
					t.Errorf("got %s, %t", got, is)
				}
			})
		})
	}
}

func TestWalker_Lookup_capsTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		for _, at := range []netip.Addr{oneAddr, twoAddr} {
			n.Spoof(at, forge(func(rr dns.RR) { rr.Header().Ttl = 50_000 }))
		}
		w := mustWalker(t, n, func(o *Options) {
			secured(n)(o)
			o.MinTTL = time.Hour
		})
		if got, want := mustAsk(t, w, "www.one.example. A"), "NOERROR; www.one.example. 60 A 192.0.2.80"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestWalker_LookupUnchecked_teachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		lie := forge(func(rr dns.RR) {
			if a, ok := rr.(*dns.A); ok && rr.Header().Name == "www.one.example." {
				a.A = []byte{192, 0, 2, 66}
			}
		})
		n.Spoof(oneAddr, lie)
		n.Spoof(twoAddr, lie)
		w := mustWalker(t, n, secured(n))
		a, err := w.LookupUnchecked(t.Context(), mustQuestion(t, "www.one.example. A"), NewBudget())
		if err != nil || summary(t, a) != "NOERROR; www.one.example. 60 A 192.0.2.66" || a.Security() != cache.Insecure {
			t.Fatalf("unchecked: %v, %v", a, err)
		}
		n.Heal(oneAddr, twoAddr)
		got, secure := mustProve(t, w, "www.old.example. A")
		if want := "NOERROR; old.example. 3600 DNAME one.example.; www.old.example. 3600 CNAME www.one.example.; www.one.example. 60 A 192.0.2.80"; got != want || !secure {
			t.Errorf("got  %s, %t\nwant %s", got, secure, want)
		}
	})
}

func TestWalker_Lookup_endsWithTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		w := mustWalker(t, n, secured(n))
		b := NewBudget()
		b.Work = new(dnssec.Work) // a purse that is empty
		_, err := w.Lookup(t.Context(), mustQuestion(t, "www.one.example. A"), b)
		var e *Error
		if !errors.As(err, &e) || e.Code != 0 || !e.Bogus || n.Exchanges() > 5 {
			t.Errorf("error %v after %d exchanges", err, n.Exchanges())
		}
	})
}

func TestWalker_Sight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		w := mustWalker(t, n, secured(n))
		if s := w.Sight(t.Context()); !s.Valid || len(s.Keys) != 1 || s.Keys[0].KeyTag() != n.Anchor().KeyTag || len(s.Sigs) != 1 {
			t.Errorf("sighting %+v", s)
		}
		own := &dns.DNSKEY{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60}, Flags: 257 | dns.REVOKE, Protocol: 3, Algorithm: dns.ED25519}
		private, err := own.Generate(256)
		if err != nil {
			t.Fatal(err)
		}
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 60}, TypeCovered: dns.TypeDNSKEY, Algorithm: own.Algorithm,
			OrigTtl: 60, Inception: uint32(time.Now().Unix()), Expiration: uint32(time.Now().Add(time.Hour).Unix()), KeyTag: own.KeyTag(), SignerName: "."}
		if err := sig.Sign(private.(crypto.Signer), []dns.RR{own}); err != nil {
			t.Fatal(err)
		}
		for _, signed := range []bool{true, false} {
			n.Spoof(rootAddr, func(_, m *dns.Msg, _ bool) *dns.Msg {
				m.Answer = []dns.RR{own}
				if signed {
					m.Answer = append(m.Answer, sig)
				}
				return m
			})
			if s := w.Sight(t.Context()); s.Valid || len(s.Keys) != 1 || (len(s.Revoked) == 1) != signed {
				t.Errorf("of a key that revokes itself, signed %t: %+v", signed, s)
			}
		}
		n.Heal(rootAddr)
		n.Drop(rootAddr)
		if s := w.Sight(t.Context()); s.Valid || len(s.Keys) != 0 {
			t.Errorf("of a silent root: %+v", s)
		}
	})
}

func TestWalker_Trust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		w := mustWalker(t, n, secured(n))
		if _, secure := mustProve(t, w, "www.one.example. A"); !secure {
			t.Error("not secure at first")
		}
		other := *n.Anchor()
		other.KeyTag++
		w.Trust([]*dns.DS{&other})
		if got := mustAsk(t, w, "www.none. A"); got[:7] != "error 9" {
			t.Errorf("with another anchor: %s", got)
		}
		w.Trust([]*dns.DS{&other, n.Anchor()})
		if got, secure := mustProve(t, w, "www.none. A"); !secure {
			t.Errorf("with both: %s", got)
		}
		w.Trust(nil)
		if got, secure := mustProve(t, w, "www.nono. A"); secure || got[:8] != "NXDOMAIN" {
			t.Errorf("with none: %s, %t", got, secure)
		}
	})
}

func TestWalker_Lookup_boundsWhatAZoneCosts(t *testing.T) {
	// Each signature comes with many wrong ones of the same key before it
	// (KeyTrap, CVE-2023-50387), from every server and for every set.
	flood := func(_, honest *dns.Msg, _ bool) *dns.Msg {
		for _, section := range []*[]dns.RR{&honest.Answer, &honest.Ns} {
			var wrong []dns.RR
			for _, rr := range *section {
				sig, ok := rr.(*dns.RRSIG)
				for i := 0; ok && i < 100; i++ {
					other := *sig
					other.Signature = fmt.Sprintf("%04d", i) + sig.Signature[4:]
					wrong = append(wrong, &other)
				}
			}
			*section = append(wrong, *section...)
		}
		return honest
	}
	for _, q := range []string{"www.one.example. A", "no.one.example. A", "a.wild.one.example. A"} {
		t.Run(q, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				n.Spoof(oneAddr, flood)
				n.Spoof(twoAddr, flood)
				w := mustWalker(t, n, secured(n))
				_, err := w.Lookup(t.Context(), mustQuestion(t, q), NewBudget())
				var e *Error
				if !errors.As(err, &e) || !e.Bogus {
					t.Errorf("error %v", err)
				}
				if s := w.Stats(); s.Proofs > 10 || s.Exchanges > 15 {
					t.Errorf("%d proofs, %d exchanges", s.Proofs, s.Exchanges)
				}
			})
		})
	}
}

// A proof that had no seat is no fault of any server: who asked is told which limit
// it was, and nobody remembers it.
func TestTask_explain_countsProofsWithoutASeat(t *testing.T) {
	for want, err := range map[string]error{"proofs that wait": trust.ErrBusy, "proofs of one zone": trust.ErrShare} {
		t.Run(want, func(t *testing.T) {
			w := mustWalker(t, testInternet(), nil)
			tk := &task{w: w, q: mustQuestion(t, "www.one.example. A")}
			var e *Error
			if !errors.As(tk.explain(t.Context(), &trust.LinkError{Zone: "one.example.", Type: dns.TypeDNSKEY, Err: err}), &e) {
				t.Fatal("no Error")
			}
			if code, text := e.EDE(); code != 0 || text != "www.one.example.: work limit: "+want || !e.Local || !e.spent || e.Lasts() != 0 {
				t.Errorf("got %d %q, %+v", code, text, e)
			}
			if got := w.Stats().Limits[want]; got != 1 {
				t.Errorf("counted %d times, want once", got)
			}
		})
	}
}
