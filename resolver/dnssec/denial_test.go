package dnssec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An authority is a zone with one key, which signs it.
type authority struct {
	signer
	zone string
	keys Keys
}

func mustAuthority(tb testing.TB, zone string) authority {
	tb.Helper()
	s := mustSigner(tb, zone, dns.ECDSAP256SHA256, 256)
	return authority{signer: s, zone: zone, keys: mustTrust(tb, s)}
}

// deny returns signed sets of NSEC3 records, from words as mustNSEC3 reads them,
// and of NSEC records, from "nsec OWNER NEXT TYPES...".
func (a authority) deny(tb testing.TB, p parameters, words ...string) (sets []RRset) {
	tb.Helper()
	for _, w := range words {
		if text, ok := strings.CutPrefix(strings.TrimSpace(w), "nsec "); ok {
			sets = append(sets, a.set(tb, []dns.RR{mustNSEC(tb, text)}, nil))
		} else {
			sets = append(sets, a.set(tb, []dns.RR{mustNSEC3(tb, a.zone, w, p)}, nil))
		}
	}
	return sets
}

// unsigned takes the signatures away.
func unsigned(sets []RRset) []RRset {
	for i := range sets {
		sets[i].Sigs = nil
	}
	return sets
}

// expand gives a wildcard's set another owner, as a server does that answers
// with it.
func expand(set RRset, owner string) RRset {
	set.RRs[0].Header().Name = owner
	set.Sigs[0].Hdr.Name = owner
	return set
}

// code returns the code of a ProofError, -1 if there is no error.
func code(tb testing.TB, err error) int {
	tb.Helper()
	if err == nil {
		return -1
	}
	var wrong *ProofError
	if !errors.As(err, &wrong) {
		tb.Fatalf("error is no ProofError: %v", err)
	}
	return int(wrong.Code)
}

func TestProveAbsent(t *testing.T) {
	const nx, ok = dns.RcodeNameError, dns.RcodeSuccess
	a, other := mustAuthority(t, "example."), mustAuthority(t, "example.")
	child, parent := mustAuthority(t, "b.example."), mustAuthority(t, ".")
	p := parameters{iterations: 1, salt: "s"}
	const nsecNoName = "nsec example. a.example. NS SOA; nsec a.example. c.example. A"
	const nsec3NoName = "match example. NS SOA; cover b.example.; cover *.example."
	tests := []struct {
		name  string
		q     string // name and type
		rcode int
		sets  []RRset
		want  Status
		code  int // of the error, -1 for none
	}{
		{"no name, by NSEC", "b.example. A", nx, a.deny(t, p, fields(nsecNoName)...), Secure, -1},
		{"no name, by NSEC3", "b.example. A", nx, a.deny(t, p, fields(nsec3NoName)...), Secure, -1},
		{"no name, in an opt-out span", "b.example. A", nx, a.deny(t, p, "match example. NS SOA", "optout b.example.", "cover *.example."), Insecure, -1},
		{"no data, by NSEC", "a.example. AAAA", ok, a.deny(t, p, "nsec a.example. c.example. A"), Secure, -1},
		{"no data, by NSEC3", "a.example. AAAA", ok, a.deny(t, p, "match a.example. A"), Secure, -1},
		{"an empty non-terminal, by NSEC", "b.example. A", ok, a.deny(t, p, "nsec a.example. x.b.example. A"), Secure, -1},
		{"an empty non-terminal, by NSEC3", "b.example. A", ok, a.deny(t, p, "match b.example."), Secure, -1},
		{"no data at the wildcard, by NSEC", "b.example. A", ok, a.deny(t, p, "nsec *.example. c.example. TXT"), Secure, -1},
		{"no data at the wildcard, by NSEC3", "b.example. A", ok, a.deny(t, p, "match example. NS SOA", "cover b.example.", "match *.example. TXT"), Secure, -1},
		{"no DS in an opt-out span", "b.example. DS", ok, a.deny(t, p, "match example. NS SOA", "optout b.example."), Insecure, -1},
		{"letter case does not matter", "B.Example. A", nx, a.deny(t, p, fields(nsecNoName)...), Secure, -1},

		{"no name does not pass for no data, by NSEC", "b.example. A", ok, a.deny(t, p, fields(nsecNoName)...), Bogus, codeDenialMissing},
		{"no name does not pass for no data, by NSEC3", "b.example. A", ok, a.deny(t, p, fields(nsec3NoName)...), Bogus, codeDenialMissing},
		{"no data does not pass for no name, by NSEC", "a.example. AAAA", nx, a.deny(t, p, "nsec example. a.example. NS SOA", "nsec a.example. c.example. A"), Bogus, codeDenialMissing},
		{"no data does not pass for no name, by NSEC3", "a.example. AAAA", nx, a.deny(t, p, "match a.example. A"), Bogus, codeDenialMissing},
		{"an opt-out span without denial of the wildcard is not no name", "b.example. A", nx, a.deny(t, p, "match example. NS SOA", "optout b.example."), Bogus, codeDenialMissing},
		{"another rcode denies nothing", "b.example. A", dns.RcodeRefused, a.deny(t, p, fields(nsecNoName)...), Bogus, codeBogus},

		{"nothing came", "b.example. A", nx, nil, Bogus, codeDenialMissing},
		{"only something else came", "b.example. A", nx, []RRset{a.set(t, mustRecords(t, "example. 300 IN SOA a. b. 1 2 3 4 5"), nil)}, Bogus, codeDenialMissing},
		{"half of the proof came", "b.example. A", nx, a.deny(t, p, "nsec a.example. c.example. A"), Bogus, codeDenialMissing},
		{"it came without signatures", "b.example. A", nx, unsigned(a.deny(t, p, fields(nsecNoName)...)), Bogus, codeSignatures},
		{"half of it came without signatures", "b.example. A", nx, append(a.deny(t, p, "nsec a.example. c.example. A"), unsigned(a.deny(t, p, "nsec example. a.example. NS SOA"))...), Bogus, codeSignatures},
		{"it is signed with another key", "b.example. A", nx, other.deny(t, p, fields(nsecNoName)...), Bogus, codeKeyMissing},
		{"half of it is signed by the child", "b.example. A", nx, append(a.deny(t, p, "nsec example. a.example. NS SOA"), child.deny(t, p, "nsec b.example. c.b.example. A")...), Bogus, codeBogus},
		{"it is the parent's", "b.example. A", nx, parent.deny(t, p, "nsec aaa. com. NS", "nsec . aaa. NS SOA"), Bogus, codeDenialMissing},
		{"the question is another zone's", "b.test. A", nx, a.deny(t, p, fields(nsecNoName)...), Bogus, codeKeyMissing},

		{"a forged record beside the proof changes nothing", "b.example. A", nx, append(unsigned(a.deny(t, p, "nsec b.example. c.example. A")), a.deny(t, p, fields(nsecNoName)...)...), Secure, -1},
		{"NSEC of the parent beside the proof change nothing", "b.example. A", nx, append(parent.deny(t, p, "nsec aaa. com. NS"), a.deny(t, p, fields(nsecNoName)...)...), Secure, -1},
		{"a next outside the zone denies nothing", "b.example. A", nx, a.deny(t, p, "nsec example. a.example. NS SOA", "nsec a.example. a.test. A"), Bogus, codeDenialMissing},
		{"an NSEC expanded from a wildcard denies nothing", "b.example. AAAA", ok, []RRset{expand(a.deny(t, p, "nsec *.example. c.example. A")[0], "b.example.")}, Bogus, codeBogus},
		{"an NSEC at the wildcard itself was not expanded", "*.example. AAAA", ok, a.deny(t, p, "nsec *.example. c.example. A"), Secure, -1},
		{"records of another class deny nothing", "a.example. AAAA", ok, []RRset{a.set(t, mustRecords(t, "a.example. 300 CH NSEC c.example. A"), nil)}, Bogus, codeDenialMissing},
		{"the child's apex does not deny its DS", "example. DS", ok, a.deny(t, p, "nsec example. a.example. NS SOA", "match example. NS SOA"), Bogus, codeDenialMissing},
		{"two NSEC3 chains are none", "b.example. A", nx, slices.Concat(a.deny(t, p, "match example. NS SOA", "cover b.example."), a.deny(t, parameters{}, "cover *.example.")), Bogus, codeBogus},
		{"two NSEC3 chains do not harm a proof by NSEC", "b.example. A", nx, slices.Concat(a.deny(t, p, "match example. NS SOA"), a.deny(t, parameters{}, "cover *.example."), a.deny(t, p, fields(nsecNoName)...)), Secure, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, typ, _ := cutField(tt.q)
			q := dns.Question{Name: text, Qtype: dns.StringToType[typ], Qclass: dns.ClassINET}
			d, err := ProveAbsent(q, tt.rcode, tt.sets, a.keys, today, NewWork(Rules{}))
			if d.Status != tt.want || code(t, err) != tt.code {
				t.Errorf("%v, %v; want %v with code %d", d.Status, err, tt.want, tt.code)
			}
		})
	}
}

func TestProveWildcard(t *testing.T) {
	a := mustAuthority(t, "example.")
	p := parameters{iterations: 1, salt: "s"}
	tests := []struct {
		name     string
		owner    string
		wildcard string
		sets     []RRset
		want     Status
		code     int
	}{
		{"nothing is closer, by NSEC", "b.example.", "*.example.", a.deny(t, p, "nsec a.example. c.example. A"), Secure, -1},
		{"nothing is closer, by NSEC3", "b.example.", "*.example.", a.deny(t, p, "cover b.example."), Secure, -1},
		{"a delegation may be closer", "b.example.", "*.example.", a.deny(t, p, "optout b.example."), Insecure, -1},
		{"the name is there", "b.example.", "*.example.", a.deny(t, p, "nsec b.example. c.example. A"), Bogus, codeDenialMissing},
		{"the proof is missing", "b.example.", "*.example.", nil, Bogus, codeDenialMissing},
		{"the wildcard is another zone's", "b.example.", "*.test.", a.deny(t, p, "nsec a.example. c.example. A"), Bogus, codeDenialMissing},
		{"the wildcard is none", "b.example.", "example.", a.deny(t, p, "nsec a.example. c.example. A"), Bogus, codeBogus},
		{"the name is another zone's", "b.test.", "*.test.", a.deny(t, p, "nsec a.example. c.example. A"), Bogus, codeKeyMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ProveWildcard(tt.owner, tt.wildcard, tt.sets, a.keys, today, NewWork(Rules{}))
			if d.Status != tt.want || code(t, err) != tt.code {
				t.Errorf("%v, %v; want %v with code %d", d.Status, err, tt.want, tt.code)
			}
		})
	}
}

func TestProveNoDS(t *testing.T) {
	a := mustAuthority(t, "example.")
	p := parameters{iterations: 1, salt: "s"}
	tests := []struct {
		name  string
		child string
		sets  []RRset
		want  Status
		code  int
	}{
		{"a delegation without DS, by NSEC", "b.example.", a.deny(t, p, "nsec b.example. c.example. NS"), Insecure, -1},
		{"a delegation without DS, by NSEC3", "b.example.", a.deny(t, p, "match b.example. NS"), Insecure, -1},
		{"a delegation left out", "b.example.", a.deny(t, p, "match example. NS SOA", "optout b.example."), Insecure, -1},
		{"a delegation with DS, by NSEC", "b.example.", a.deny(t, p, "nsec b.example. c.example. NS DS"), Bogus, codeDenialMissing},
		{"a delegation with DS, by NSEC3", "b.example.", a.deny(t, p, "match b.example. NS DS"), Bogus, codeDenialMissing},
		{"no delegation", "b.example.", a.deny(t, p, "nsec b.example. c.example. A"), Bogus, codeDenialMissing},
		{"no name", "b.example.", a.deny(t, p, "nsec example. a.example. NS SOA", "nsec a.example. c.example. A"), Bogus, codeDenialMissing},
		{"the zone itself", "example.", a.deny(t, p, "nsec example. c.example. NS SOA"), Bogus, codeDenialMissing},
		{"without signature", "b.example.", unsigned(a.deny(t, p, "nsec b.example. c.example. NS")), Bogus, codeSignatures},
		{"nothing", "b.example.", nil, Bogus, codeDenialMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ProveNoDS(tt.child, tt.sets, a.keys, today, NewWork(Rules{}))
			if d.Status != tt.want || code(t, err) != tt.code {
				t.Errorf("%v, %v; want %v with code %d", d.Status, err, tt.want, tt.code)
			}
		})
	}
}

func TestProveAbsent_holdsAsLongAsItsShortestPart(t *testing.T) {
	a := mustAuthority(t, "example.")
	soon := today.Add(2 * time.Hour)
	first := []dns.RR{mustNSEC(t, "example. a.example. NS SOA")}
	first[0].Header().Ttl = 60
	second := []dns.RR{mustNSEC(t, "a.example. c.example. A")}
	sets := []RRset{
		a.set(t, first, nil),
		a.set(t, second, func(sig *dns.RRSIG) { sig.Expiration = uint32(soon.Unix()) }),
	}
	q := dns.Question{Name: "b.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	d, err := ProveAbsent(q, dns.RcodeNameError, sets, a.keys, today, NewWork(Rules{}))
	if want := (Denial{Status: Secure, Sets: sets, Until: soon, TTL: 60}); err != nil || !reflect.DeepEqual(d, want) {
		t.Errorf("%+v, %v; want %+v", d, err, want)
	}
}

func TestProveAbsent_tellsWhatMayBeRemembered(t *testing.T) {
	a, parent := mustAuthority(t, "example."), mustAuthority(t, ".")
	good := a.deny(t, parameters{}, "nsec example. a.example. NS SOA", "nsec a.example. c.example. A")
	all := slices.Concat(parent.deny(t, parameters{}, "nsec aaa. com. NS"), good,
		unsigned(a.deny(t, parameters{}, "nsec c.example. example. A")))
	q := dns.Question{Name: "b.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	d, err := ProveAbsent(q, dns.RcodeNameError, all, a.keys, today, NewWork(Rules{}))
	if err != nil || !reflect.DeepEqual(d.Sets, good) {
		t.Errorf("%v, %v; want %v", d.Sets, err, good)
	}
}

func TestProofs_areInsecureBeforeAnyHashing(t *testing.T) {
	a := mustAuthority(t, "example.")
	limits := []struct {
		name             string
		rules            Rules
		iterations, salt int
		hashed           bool
	}{
		{"no iterations", Rules{}, 0, 0, true},
		{"50 iterations", Rules{}, 50, 0, true},
		{"51 iterations", Rules{}, 51, 0, false},
		{"65,535 iterations", Rules{}, 65535, 0, false},
		{"64 octets of salt", Rules{}, 0, 64, true},
		{"65 octets of salt", Rules{}, 0, 65, false},
		{"255 octets of salt", Rules{}, 0, 255, false},
		{"1 iteration where none is computed", Rules{Iterations: -1}, 1, 0, false},
		{"no iteration where none is computed", Rules{Iterations: -1}, 0, 0, true},
		{"150 iterations where the operator computes them", Rules{Iterations: 150}, 150, 0, true},
		{"151 iterations where the operator wants too much", Rules{Iterations: 1000}, 151, 0, false},
	}
	for _, l := range limits {
		p := parameters{iterations: l.iterations, salt: strings.Repeat("s", l.salt)}
		sets := a.deny(t, p, "match example. NS SOA", "optout b.example.", "cover *.example.")
		q := dns.Question{Name: "b.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
		proofs := map[string]func(*Work) (Denial, error){
			"no name": func(w *Work) (Denial, error) { return ProveAbsent(q, dns.RcodeNameError, sets, a.keys, today, w) },
			"no data": func(w *Work) (Denial, error) { return ProveAbsent(q, dns.RcodeSuccess, sets, a.keys, today, w) },
			"wildcard": func(w *Work) (Denial, error) {
				return ProveWildcard("b.example.", "*.example.", sets, a.keys, today, w)
			},
			"no DS": func(w *Work) (Denial, error) { return ProveNoDS("b.example.", sets, a.keys, today, w) },
		}
		for claim, prove := range proofs {
			t.Run(l.name+", "+claim, func(t *testing.T) {
				w := NewWork(l.rules)
				d, err := prove(w)
				wantCode := codeNSEC3Iterations
				if l.hashed {
					wantCode = -1
				}
				if d.Status != Insecure || code(t, err) != wantCode {
					t.Errorf("%v, %v; want insecure with code %d", d.Status, err, wantCode)
				}
				if hashed := w.hashes.left.Load() < maxHashes; hashed != l.hashed {
					t.Errorf("hashed = %t, want %t", hashed, l.hashed)
				}
			})
		}
	}
}

func TestProveAbsent_believesNoUnsignedIterations(t *testing.T) {
	a := mustAuthority(t, "example.")
	sets := unsigned(a.deny(t, parameters{iterations: 2500}, "match example. NS SOA", "cover b.example.", "cover *.example."))
	q := dns.Question{Name: "b.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	d, err := ProveAbsent(q, dns.RcodeNameError, sets, a.keys, today, NewWork(Rules{}))
	if d.Status != Bogus || code(t, err) != codeSignatures {
		t.Errorf("%v, %v; want bogus: anybody could say so (RFC 9276 section 3.2)", d.Status, err)
	}
}

func TestProveAbsent_hashesWhatIsPaidFor(t *testing.T) {
	a := mustAuthority(t, "example.")
	deep := strings.Repeat("a.", 120) + "example."
	sets := func(p parameters) []RRset {
		return a.deny(t, p, "match example. NS SOA", "cover a.example.", "cover *.example.")
	}
	tests := []struct {
		name  string
		p     parameters
		want  Status
		spent bool
	}{
		{"120 labels without iterations", parameters{}, Secure, false},
		{"120 labels with 50 iterations of a short salt", parameters{iterations: 50}, Secure, false},
		{"120 labels with the dearest hashes", parameters{iterations: 50, salt: strings.Repeat("s", 64)}, Bogus, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := dns.Question{Name: deep, Qtype: dns.TypeA, Qclass: dns.ClassINET}
			w := NewWork(Rules{})
			d, err := ProveAbsent(q, dns.RcodeNameError, sets(tt.p), a.keys, today, w)
			var wrong *ProofError
			if spent := errors.As(err, &wrong) && wrong.Spent; d.Status != tt.want || spent != tt.spent {
				t.Errorf("%v, %v; want %v, spent %t", d.Status, err, tt.want, tt.spent)
			}
			if w.hashes.left.Load() < 0 {
				t.Error("the purse is overdrawn")
			}
		})
	}
}

func TestProveAbsent_looksAtFewRecords(t *testing.T) {
	a := mustAuthority(t, "example.")
	q := dns.Question{Name: "b.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	proof := []string{"nsec example. a.example. NS SOA", "nsec a.example. c.example. A"}
	var stuffing []string
	for i := range 60 {
		stuffing = append(stuffing, fmt.Sprintf("nsec n%02d.example. n%02d.example. A", i, i+1))
	}
	tests := []struct {
		name  string
		words []string
		want  Status
		tried int64 // signatures
	}{
		{"all of a proof", proof, Secure, 2},
		{"a proof before 60 other records", append(slices.Clone(proof), stuffing...), Secure, 8},
		{"a proof after 60 other records", append(slices.Clone(stuffing), proof...), Bogus, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sets := a.deny(t, parameters{}, tt.words...)
			w := NewWork(Rules{})
			d, _ := ProveAbsent(q, dns.RcodeNameError, sets, a.keys, today, w)
			if d.Status != tt.want {
				t.Errorf("%v, want %v", d.Status, tt.want)
			}
			if spent, most := maxUnits-w.units.left.Load(), tt.tried*int64(a.keys.keys[0].price+10); spent > most {
				t.Errorf("%d tenths of a unit spent, want at most %d", spent, most)
			}
		})
	}
}
