package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRead looks for files that make Read panic, or fail without naming a line.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.rpl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Read("f.rpl", strings.NewReader(text))
		if err != nil && !strings.HasPrefix(err.Error(), "f.rpl:") {
			t.Errorf("error without a file: %v", err)
		}
	})
}
