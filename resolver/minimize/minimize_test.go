package minimize

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestName_Question(t *testing.T) {
	tests := []struct {
		name string
		full string
		want string // the labels of each question, if every name exists in one zone
	}{
		{"the root", ".", "0"},
		{"one label is the full name", "example.", "1"},
		{"a label at a time", "a.b.example.", "1 2 3"},
		{"four labels singly, the rest in six steps", strings.Repeat("a.", 28), "1 2 3 4 8 12 16 20 24 28"},
		{"the longest name", strings.Repeat("a.", 127), "1 2 3 4 25 46 67 87 107 127"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := Name{Q: dns.Question{Name: tt.full, Qtype: dns.TypeMX, Qclass: dns.ClassINET}}
			var got []string
			for at := "."; ; {
				q := n.Question(at)
				got = append(got, fmt.Sprint(dns.CountLabel(q.Name)))
				if q == n.Q {
					break
				}
				if q.Qtype != dns.TypeA {
					t.Errorf("type of %s is %d, want A", q.Name, q.Qtype)
				}
				at = q.Name
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
