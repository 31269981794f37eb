package phrase

import (
	"reflect"
	"testing"
	"time"

	"proxima/resolver/dnssec"
	"proxima/resolver/found"
	"proxima/resolver/record"
	"proxima/resolver/reply"
	"proxima/resolver/trust"
	"proxima/wire"

	"github.com/miekg/dns"
)

const (
	address   = "www.example.\t60\tIN\tA\t192.0.2.1"
	signature = "www.example.\t60\tIN\tRRSIG\tA 13 2 60 20260101000000 20250101000000 1 example. AA=="
	soa       = "example.\t60\tIN\tSOA\tns.example. root.example. 1 2 3 4 5"
)

func mustRRs(t *testing.T, texts ...string) (rrs []dns.RR) {
	t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

func TestType(t *testing.T) {
	for typ, want := range map[uint16]string{dns.TypeAAAA: "AAAA", 0: "TYPE0", 65535: "TYPE65535", 65280: "TYPE65280"} {
		if got := Type(typ); got != want {
			t.Errorf("%d is %q, want %q", typ, got, want)
		}
	}
}

var question = dns.Question{Name: "www.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}

// begin begins a record at a time that stands still.
func begin() Note {
	at := time.Now()
	return Note{record.Begin("www.example.", "A", func() time.Time { return at })}
}

func TestNote_Judge(t *testing.T) {
	tests := []struct {
		name    string
		v       reply.Verdict
		err     error
		want    string
		touched int // limits
	}{
		{"an answer", reply.Verdict{Kind: reply.Answer}, nil, "answer", 0},
		{"one that is not believed", reply.Verdict{Kind: reply.Answer}, &dnssec.ProofError{Name: "a.", Reason: "expired"},
			"answer, refused: dnssec: a.: expired", 0},
		{"one that nobody can afford to prove", reply.Verdict{Kind: reply.Alias, Target: "b."}, &dnssec.ProofError{Name: "a.", Reason: "work limit", Spent: true},
			"alias of b., refused: dnssec: a.: work limit", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := begin()
			n.Judge(&tt.v, tt.err)
			if got := n.Steps[0].Verdict; got != tt.want || len(n.Limits()) != tt.touched {
				t.Errorf("%q, limits %v; want %q, %d", got, n.Limits(), tt.want, tt.touched)
			}
		})
	}
}

func TestNote_Reach(t *testing.T) {
	n := begin()
	n.Reach(record.Cut{Zone: "a."}, nil, time.Time{})
	n.Reach(record.Cut{Zone: "b."}, &trust.Zone{Status: dnssec.Secure}, time.Time{})
	n.Reach(record.Cut{Zone: "c."}, &trust.Zone{Why: &wire.EDE{Text: "old"}}, time.Time{})
	want := []record.Cut{{Zone: "a.", Trust: "unchecked"}, {Zone: "b.", Trust: "secure"}, {Zone: "c.", Trust: "insecure", Why: "old"}}
	for i, w := range want {
		if got := *n.Steps[i].Cut; got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
}

func TestNote_Find(t *testing.T) {
	code := uint16(wire.EDEOther)
	tests := []struct {
		name      string
		typ       uint16
		r         found.Records
		unchecked bool
		want      record.End
	}{
		{"an answer, without its signature", dns.TypeA, found.Records{Answer: mustRRs(t, address, signature), Status: dnssec.Secure}, false,
			record.End{Rcode: "NOERROR", Trust: "secure", Records: []string{address}}},
		{"signatures, if they were asked for", dns.TypeRRSIG, found.Records{Answer: mustRRs(t, signature)}, false,
			record.End{Rcode: "NOERROR", Trust: "insecure", Records: []string{signature}}},
		{"a denial", dns.TypeA, found.Records{Rcode: dns.RcodeNameError, Authority: mustRRs(t, soa)}, true,
			record.End{Rcode: "NXDOMAIN", Trust: "unchecked", Records: []string{soa}}},
		{"one that clients are told of", dns.TypeA, found.Records{Why: &wire.EDE{Code: code, Text: "old"}}, false,
			record.End{Rcode: "NOERROR", Trust: "insecure", EDE: &code, Reason: "old"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := begin()
			n.Find(dns.Question{Qtype: tt.typ}, &tt.r, tt.unchecked)
			if !reflect.DeepEqual(*n.End, tt.want) {
				t.Errorf("%+v, want %+v", *n.End, tt.want)
			}
		})
	}
}

func TestNote_Fail(t *testing.T) {
	code := uint16(7)
	want := record.End{Rcode: "SERVFAIL", Trust: "bogus", EDE: &code, Reason: "example.: expired", Records: []string{address}}
	n := begin()
	if n.Fail(question, code, "example.: expired", true, mustRRs(t, address)); !reflect.DeepEqual(*n.End, want) {
		t.Errorf("%+v, want %+v", *n.End, want)
	}
}

func TestNote_isNothingIfNobodyAsks(t *testing.T) {
	var n Note
	n.Recall(question, "answer", 0)
	n.Reach(record.Cut{}, nil, time.Time{})
	n.Judge(nil, nil)
	n.Limit("seats: %d", 1)
	n.Prove(question, nil)
	n.Find(question, nil, false)
	n.Fail(question, 0, "", false, nil)
	if n.Raise(question, "none").Question != nil {
		t.Error("something is kept")
	}
}
