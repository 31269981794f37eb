package scenario

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRead looks for files that make Read or ReadForeign panic, or fail without naming a line.
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
	f.Add(deckardHead + span1(said("MANDATORY\n", "192.0.2.1")) + asked1 + "STEP 2 REPLY\nENTRY_BEGIN\nRAW\n00ff\nENTRY_END\nSCENARIO_END\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(string, io.Reader) (*Scenario, error){Read, ReadForeign} {
			_, err := read("f.rpl", strings.NewReader(text))
			if err != nil && !strings.HasPrefix(err.Error(), "f.rpl:") {
				t.Errorf("error without a file: %v", err)
			}
		}
	})
}
