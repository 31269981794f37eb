package resolver

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/clock"
	"proxima/resolver/record"

	"github.com/miekg/dns"
)

func TestNoteTime(t *testing.T) {
	for took, want := range map[time.Duration]int{time.Second: 0, 2 * time.Second: 1, 5 * time.Second: 2, 7 * time.Second: 3} {
		note := record.Begin("example.", "A", clock.Now)
		noteTime(note, took)
		if got := note.Limits(); len(got) != want {
			t.Errorf("a walk of %v touches %v, want %d limits", took, got, want)
		}
	}
}

func TestResolver_Explain_tellsThatTimeRanOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // as the end of its time does
		q, err := r.Explain(ctx, "www.example.", dns.TypeA, false)
		if err != nil || q.End == nil || q.End.Rcode != "SERVFAIL" {
			t.Errorf("ended with %+v, %v", q.End, err)
		}
	})
}

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
		{"nor that which is none", "www.example.", 0, "TYPE0 is no type of records: no server is asked for it"},
		{"a type that nobody has given a meaning", "www.example.", 65535, "NOERROR"},
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
