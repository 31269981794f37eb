package classes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxima/resolver/denial"
	"proxima/resolver/iterate"
	"proxima/resolver/trust"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// signed signs all zones, and has the resolver validate and answer from denials.
func signed(o *iterate.Options) {
	n := o.Exchanger.(*sim.Internet)
	n.SignAll()
	denials, err := denial.New(denial.Options{})
	if err != nil {
		panic("classes: " + err.Error())
	}
	o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}, Denials: denials}
}

// mustProve wants the truth of a name of victim.example., proven.
func (w *world) mustProve(t *testing.T, name string) {
	t.Helper()
	m, _ := w.ask(t, name+" A")
	if got, want := text(m), "NOERROR; "+name+" 300 A "+truth; got != want || !m.AuthenticatedData {
		t.Errorf("got %s, AD %t, EDE %v, want %s, proven", got, m.AuthenticatedData, ede(m), want)
	}
}

// bogusLife is how long something that could not be proven is not tried again.
const bogusLife = 61 * time.Second

// TestC11_forgedSignatures has the victim's server answer with what the enemy can
// sign, and with what the victim has signed of something else.
func TestC11_forgedSignatures(t *testing.T) {
	const name = "www.victim.example."
	forged := func(owner string) dns.RR { return rr("%s 300 A %s", owner, lie) }
	// as renames a set, signatures and all.
	as := func(owner string, set []dns.RR) (renamed []dns.RR) {
		for _, r := range set {
			r = dns.Copy(r)
			r.Header().Name = owner
			renamed = append(renamed, r)
		}
		return renamed
	}
	tests := []struct {
		name  string
		spoof func(w *world, m *dns.Msg)
	}{
		{"by the enemy's key", func(w *world, m *dns.Msg) { m.Answer = w.evil.Signed(forged(name)) }},
		{"by the enemy's key, labels fewer than its own (CVE-2026-44690)", func(w *world, m *dns.Msg) {
			m.Answer = as(name, w.evil.Signed(forged("*.example.")))
		}},
		{"by the enemy's key in the victim's name", func(w *world, m *dns.Msg) {
			m.Answer = w.evil.Signed(forged(name))
			m.Answer[1].(*dns.RRSIG).SignerName = "victim.example."
		}},
		{"the victim's wildcard, over a name that is there", func(w *world, m *dns.Msg) {
			q := new(dns.Msg).SetQuestion("zz.any.victim.example.", dns.TypeA)
			q.SetEdns0(1232, true)
			wild := w.Reply(victimAt, q, true)
			m.Answer, m.Ns = as(name, wild.Answer), wild.Ns
		}},
		{"the victim's wildcard, with the enemy's proof", func(w *world, m *dns.Msg) {
			q := new(dns.Msg).SetQuestion("zz.any.victim.example.", dns.TypeA)
			q.SetEdns0(1232, true)
			m.Answer = as(name, w.Reply(victimAt, q, true).Answer)
			m.Ns = w.evil.Signed(rr("victim.example. 300 NSEC zz.victim.example. NS SOA"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "", "", nil, signed, func(t *testing.T, w *world) {
				w.Spoof(victimAt, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					if q.Question[0].Name == name {
						tt.spoof(w, honest)
					}
					return honest
				})
				m, _ := w.ask(t, name+" A")
				if !failed(m, dns.ExtendedErrorCodeDNSBogus, dns.ExtendedErrorCodeDNSKEYMissing, dns.ExtendedErrorCodeRRSIGsMissing, dns.ExtendedErrorCodeNSECMissing) {
					t.Errorf("got %s, EDE %v", text(m), ede(m))
				}
				w.mustProve(t, "x.any.victim.example.")
				w.Spoof(victimAt, nil)
				time.Sleep(bogusLife)
				w.mustProve(t, name)
			})
		})
	}
}

// TestC12_poisonedDenials has the enemy's zone deny more than its own names, and
// wants nobody to believe it: neither now, nor when names are asked for that it
// would cover.
func TestC12_poisonedDenials(t *testing.T) {
	tests := []struct{ name, nsec string }{
		{"a next outside the zone (CVE-2026-13321)", "evil.example. 300 NSEC zz.example. NS SOA"},
		{"a next above the zone", "evil.example. 300 NSEC example. NS SOA"},
		{"an owner outside the zone", "a.example. 300 NSEC zz.example. NS"},
		{"an owner above the zone", "example. 300 NSEC zz.example. NS SOA"},
		{"the victim's apex", "victim.example. 300 NSEC zz.victim.example. NS SOA"},
		{"a name of the victim without its types", "www.victim.example. 300 NSEC zz.victim.example. TXT"},
		{"the victim's cut, from above", "victim.example. 300 NSEC zz.example. TXT"},
		{"the root", ". 300 NSEC zz. NS SOA"},
		{"NSEC3 outside the zone", "00000000000000000000000000000000.example. 300 NSEC3 1 0 0 - VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV A"},
		{"NSEC3 of all", "00000000000000000000000000000000.evil.example. 300 NSEC3 1 1 0 - VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "", "", nil, signed, func(t *testing.T, w *world) {
				w.Spoof(evilAt, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					if strings.HasPrefix(q.Question[0].Name, "no") {
						honest.Ns = append(honest.Ns, w.evil.Signed(rr("%s", tt.nsec))...)
					}
					return honest
				})
				for i := range 3 {
					w.ask(t, fmt.Sprintf("no%d.evil.example. A", i))
				}
				w.mustProve(t, "www.victim.example.")
				w.mustProve(t, "x.any.victim.example.")
				if m, _ := w.ask(t, "nothing.victim.example. A"); m.Rcode != dns.RcodeNameError || !m.AuthenticatedData {
					t.Errorf("got %s, AD %t", text(m), m.AuthenticatedData)
				}
				if m, _ := w.ask(t, "www.evil.example. A"); m.Rcode != dns.RcodeSuccess || !m.AuthenticatedData {
					t.Errorf("got %s, AD %t: what is signed soundly is still true", text(m), m.AuthenticatedData)
				}
			})
		})
	}
}

func TestC13_whoWantsNoChecksPoisonsNobody(t *testing.T) {
	const name = "www.victim.example."
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("the truth known before %t", known), func(t *testing.T) {
			inWorld(t, "", "", nil, signed, func(t *testing.T, w *world) {
				if known {
					w.mustProve(t, name)
				}
				w.Spoof(victimAt, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					for _, r := range honest.Answer {
						if a, ok := r.(*dns.A); ok {
							a.A = []byte{192, 0, 2, 66}
						}
					}
					return honest
				})
				m, _ := w.askChecked(t, name+" A", false)
				if got := text(m); m.AuthenticatedData && !strings.HasSuffix(got, truth) || !known && !strings.HasSuffix(got, lie) {
					t.Errorf("with CD: %s, AD %t", got, m.AuthenticatedData)
				}
				w.Spoof(victimAt, nil)
				if !known { // that something was wrong is remembered, for all
					time.Sleep(bogusLife)
				}
				w.mustProve(t, name)
			})
		})
	}
}

// TestC10_ghosts has the parent take a zone away whose servers go on answering,
// with times to live of a day, for whatever is asked.
func TestC10_ghosts(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.70")
	const lease, gone = 10 * time.Second, 5 * time.Second
	inWorld(t, "", "ghost 10 NS ns.ghost\nns.ghost 10 A 192.0.2.70\n", nil, nil, func(t *testing.T, w *world) {
		w.Zone("ghost.example.", "@ 86400 NS ns\nns 86400 A 192.0.2.70\n* 86400 A 192.0.2.71\ndeep 86400 NS ns.deep\nns.deep 86400 A 192.0.2.70\n", at)
		w.Zone("deep.ghost.example.", "@ 86400 NS ns\nns 86400 A 192.0.2.70\n* 86400 A 192.0.2.71\n", at)
		began, name := time.Now(), ""
		for i := 0; time.Since(began) < time.Minute; i++ {
			if time.Since(began) >= gone && time.Since(began) < gone+time.Second {
				w.tld.Remove("ghost.example.", dns.TypeANY)
				w.tld.Remove("ns.ghost.example.", dns.TypeANY)
			}
			name = fmt.Sprintf("x%d.%s", i, name)
			w.ask(t, "ghost.example. NS")
			w.ask(t, "ns.ghost.example. A")
			w.ask(t, "deep.ghost.example. NS")
			for _, q := range []string{fmt.Sprintf("y%d.ghost.example. A", i), name + "ghost.example. A", name + "deep.ghost.example. A"} {
				m, _ := w.ask(t, q)
				switch past := time.Since(began); {
				case past < gone && m.Rcode != dns.RcodeSuccess:
					t.Fatalf("%s: %s after %v: that is no ghost yet", q, text(m), past)
				case past > lease+2*time.Second && m.Rcode != dns.RcodeNameError:
					t.Fatalf("%s: %s after %v, want NXDOMAIN", q, text(m), past)
				}
			}
			time.Sleep(time.Second)
		}
	})
}
