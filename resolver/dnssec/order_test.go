package dnssec

import (
	"slices"
	"strings"
	"testing"
)

// cutField splits text after its first field.
func cutField(text string) (first, rest string, more bool) {
	return strings.Cut(strings.TrimSpace(text), " ")
}

// fields splits a list at its semicolons.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ';' })
}

func TestName_before(t *testing.T) {
	// The list of RFC 4034 section 6.1.
	sorted := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := mustName(t, a).before(mustName(t, b)), i < j; got != want {
				t.Errorf("%s before %s = %t, want %t", a, b, got, want)
			}
		}
	}
}

func TestName_common(t *testing.T) {
	tests := []struct{ name, a, b, want string }{
		{"a parent", "example.", "a.example.", "example."},
		{"two children", "a.example.", "b.example.", "example."},
		{"the same name", "a.example.", "A.example.", "a.example."},
		{"a cousin that ends in the same letters", "xa.example.", "a.example.", "example."},
		{"nothing but the root", "a.example.", "a.test.", "."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := mustName(t, tt.a), mustName(t, tt.b)
			if got := []string{a.common(b).String(), b.common(a).String()}; !slices.Equal(got, []string{tt.want, tt.want}) {
				t.Errorf("common = %q, want %q both ways", got, tt.want)
			}
		})
	}
}

func TestName_towards(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"a child", "example.", "a.example.", "a.example."},
		{"further down", "example.", "a.b.c.example.", "c.example."},
		{"from the root", ".", "a.example.", "example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustName(t, tt.from).towards(mustName(t, tt.to)).String(); got != tt.want {
				t.Errorf("towards = %s, want %s", got, tt.want)
			}
		})
	}
}
