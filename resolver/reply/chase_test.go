package reply

import (
	"testing"

	"github.com/miekg/dns"
)

func TestIsWithin_isIsSubDomain(t *testing.T) {
	names := []string{
		".", "example.", "Example.", "a.example.", "aexample.", `a\.example.`, `a\\.example.`, "b.a.example.", `\097.example.`,
		"xample.", "com.", "example.com.", "a.eXample.",
	}
	for _, zone := range names {
		for _, name := range names {
			if got, want := isWithin(zone, name), dns.IsSubDomain(zone, name); got != want {
				t.Errorf("isWithin(%q, %q) = %t, want %t", zone, name, got, want)
			}
		}
	}
}
