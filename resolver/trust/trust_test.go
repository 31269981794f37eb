package trust

import (
	"testing"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// mustDS reads a DS record.
func mustDS(t testing.TB, text string) *dns.DS {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr.(*dns.DS)
}

const digest = "0000000000000000000000000000000000000000000000000000000000000000"

func TestChain_decree(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	c, err := New(Options{
		Anchors: []*dns.DS{
			mustDS(t, ". DS 1 13 2 "+digest), mustDS(t, "Isle.Example. DS 1 13 2 "+digest),
			mustDS(t, "strange. DS 1 200 2 "+digest), mustDS(t, "both. DS 1 13 2 "+digest),
		},
		Exceptions: []Exception{{Zone: "Broken"}, {Zone: "both."}, {Zone: "mended.", Until: at}, {Zone: "soon.", Until: at.Add(time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		zone    string
		status  dnssec.Status
		decreed bool
		life    time.Duration
	}{
		{"an anchor begins trust", ".", dnssec.Secure, true, maxLife},
		{"also below the root, in any letter case", "isle.example.", dnssec.Secure, true, maxLife},
		{"but not by an unknown algorithm", "strange.", dnssec.Insecure, true, maxLife},
		{"an exception ends it", "broken.", dnssec.Insecure, true, maxLife},
		{"also where there is an anchor", "both.", dnssec.Insecure, true, maxLife},
		{"until it is over", "mended.", dnssec.Insecure, false, 0},
		{"and no longer", "soon.", dnssec.Insecure, true, time.Hour},
		{"of other zones nothing is said", "example.", dnssec.Insecure, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z, ok := c.decree(tt.zone, at)
			if ok != tt.decreed || ok && (z.Status != tt.status || z.Expires.Sub(at) != tt.life) {
				t.Errorf("decree = %+v, %t", z, ok)
			}
		})
	}
	if !c.anchored("example.", "a.isle.example.") || c.anchored("isle.example.", "a.isle.example.") || c.anchored("example.", "isle.example.") {
		t.Error("anchored counts the ends, or not what is between")
	}
}

func TestNew_refusesBadNames(t *testing.T) {
	if _, err := New(Options{Exceptions: []Exception{{Zone: "a..b"}}}); err == nil {
		t.Error("no error")
	}
}

func TestTowards(t *testing.T) {
	tests := []struct{ zone, name, want string }{
		{".", "www.a.example.", "example."},
		{"example.", "www.a.example.", "a.example."},
		{"a.example.", "www.a.example.", "www.a.example."},
	}
	for _, tt := range tests {
		if got := towards(tt.zone, tt.name); got != tt.want {
			t.Errorf("towards(%s, %s) = %s, want %s", tt.zone, tt.name, got, tt.want)
		}
	}
}
