package check

import (
	"context"
	"testing"
	"time"
)

func TestValidation(t *testing.T) {
	tests := []struct {
		name        string
		good, bogus []Verdict
		fails       bool
		excused     bool
	}{
		{"as it should be", []Verdict{Secure, Secure, Secure}, []Verdict{Bogus, Bogus}, false, false},
		{"one zone with bad signatures", []Verdict{Secure, Secure, Bogus}, []Verdict{Bogus, Bogus}, false, false},
		{"all that can be judged are bad, but that is one", []Verdict{Bogus, Unjudged, Unjudged}, []Verdict{Bogus, Unjudged}, false, false},
		{"nothing is proven", []Verdict{Bogus, Bogus, Unjudged}, []Verdict{Bogus, Bogus}, true, false},
		{"nothing is validated", []Verdict{Insecure, Insecure, Insecure}, []Verdict{Bogus, Bogus}, true, false},
		{"one bogus name was mended", []Verdict{Secure}, []Verdict{Secure, Bogus}, false, false},
		{"one was mended and the other has gone", []Verdict{Secure}, []Verdict{Secure, Unjudged}, false, false},
		{"both have gone", []Verdict{Absent, Absent}, []Verdict{Absent, Absent}, false, false},
		{"bogus names are answered", []Verdict{Secure}, []Verdict{Insecure, Insecure}, true, false},
		{"the Internet is out of reach", []Verdict{Unjudged, Unjudged}, []Verdict{Unjudged}, true, true},
		{"the only good name", []Verdict{Bogus}, nil, true, false},
		{"no good names to ask for", nil, []Verdict{Bogus}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			verdicts := map[string]Verdict{}
			list := func(prefix string, all []Verdict) (names []string) {
				for i, v := range all {
					names = append(names, prefix+string(rune('a'+i))+".")
					verdicts[names[i]] = v
				}
				return names
			}
			err := Validation(list("good", tt.good), list("bogus", tt.bogus), func(_ context.Context, name string) Verdict { return verdicts[name] })(t.Context())
			if (err != nil) != tt.fails || Unasked()(err) != tt.excused {
				t.Errorf("error = %v, want one: %t, excused: %t", err, tt.fails, tt.excused)
			}
		})
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	window := func(from, to int) Window { return Window{now.AddDate(0, 0, from), now.AddDate(0, 0, to)} }
	past, present, future := window(-9, -1), window(-1, 7), window(1, 9)
	tests := []struct {
		name    string
		windows []Window
		fails   bool
		excused bool
	}{
		{"all are valid", []Window{present, present, present}, false, false},
		{"a zone was not signed again", []Window{past, present, present}, false, false},
		{"a zone was not signed again, and the others are silent", []Window{past, {}, {}}, false, false},
		{"zones are at odds", []Window{past, future, future}, false, false},
		{"the clock is ahead", []Window{past, past, {}}, true, false},
		{"the clock is behind", []Window{future, future, future}, true, false},
		{"no signature can be had", []Window{{}, {}}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := func(_ context.Context, name string) Window { return tt.windows[name[0]-'a'] }
			var names []string
			for i := range tt.windows {
				names = append(names, string(rune('a'+i))+".")
			}
			err := Clock(names, ask, func() time.Time { return now })(t.Context())
			if (err != nil) != tt.fails || Unasked()(err) != tt.excused {
				t.Errorf("error = %v, want one: %t, excused: %t", err, tt.fails, tt.excused)
			}
		})
	}
}
