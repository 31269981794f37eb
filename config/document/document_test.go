package document

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []int // lines with faults
	}{
		{"plain mappings", "a: {b: [1, 2]}\n", nil},
		{"nothing", "# nothing\n", nil},
		{"two documents", "a: 1\n---\nb: 2\n", []int{2}},
		{"no YAML", "a: 1\nb: [\n", []int{2}},
		{"an anchor and its alias", "a: &x 1\nb: *x\n", []int{1, 2}},
		{"a tag", "a: !!binary AA==\n", []int{1}},
		{"every bad line", "a: 1\n\tb: 2\nc: \x01\nd: \xff\n", []int{2, 3, 4}},
		{"too much", strings.Repeat("#", MaxLen+1), []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, faults := Parse([]byte(tt.text))
			var got []int
			for _, f := range faults {
				got = append(got, f.Line)
			}
			if !slices.Equal(got, tt.want) || root != nil && len(faults) > 0 {
				t.Errorf("root %v, faults %+v; want faults on lines %v", root, faults, tt.want)
			}
		})
	}
}
