package resolver

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
)

func TestResolver_Explain(t *testing.T) {
	tests := []struct {
		name string
		ask  string
		typ  uint16
		end  string // its rcode, or the error
	}{
		{"a name", "www.example.", dns.TypeA, "NOERROR"},
		{"one with odd octets", "b\u00fccher .example.", dns.TypeA, "NXDOMAIN"},
		{"no type of records", "www.example.", dns.TypeAXFR, "is no type of records"},
		{"nor this", "www.example.", dns.TypeANY, "is no type of records"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustResolver(t, testInternet())
				q, err := r.Explain(t.Context(), tt.ask, tt.typ, false)
				switch {
				case err != nil && !strings.Contains(err.Error(), tt.end):
					t.Error(err)
				case err == nil && q.End.Rcode != tt.end:
					t.Errorf("ended with %+v, want %s", q.End, tt.end)
				}
			})
		})
	}
}
