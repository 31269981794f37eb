package bgpctl

import "testing"

func TestHealth_After(t *testing.T) {
	const rise, fall = 3, 2
	tests := []struct {
		name    string
		results string // one letter a round: '+' passed, '-' failed
		up      bool
	}{
		{"starts down", "", false},
		{"one good round is not enough", "+", false},
		{"two good rounds are not enough", "++", false},
		{"three good rounds announce", "+++", true},
		{"good rounds that are not in a row do not count", "++-+", false},
		{"a single failure is forgiven", "+++-+", true},
		{"two failures in a row withdraw", "+++--", false},
		{"failures far apart never add up", "+++-+-+-", true},
		{"coming back takes the whole rise again", "+++--++", false},
		{"and then it is back", "+++--+++", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h Health
			for _, r := range tt.results {
				h = h.After(r == '+', rise, fall)
			}
			if h.Up != tt.up {
				t.Errorf("Up = %t after %q, want %t", h.Up, tt.results, tt.up)
			}
		})
	}
}
