package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestADRs_haveNumbersOfTheirOwn: a reader who is sent to ADR 17 must find one.
func TestADRs_haveNumbersOfTheirOwn(t *testing.T) {
	files, err := filepath.Glob("../../docs/adr/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	first := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		number, _, _ := strings.Cut(name, "-")
		if other, twice := first[number]; twice {
			t.Errorf("%s and %s have the same number", other, name)
		}
		first[number] = name
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(number, "%d", &n); err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("# %d. ", n)) {
			t.Errorf("%s does not begin with its number", name)
		}
	}
}
