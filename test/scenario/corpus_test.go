package scenario

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"proxima/test/corpus"
)

// TestCorpus plays the files of others, below the folder that RPL_CORPUS names.
func TestCorpus(t *testing.T) {
	root := os.Getenv("RPL_CORPUS")
	if root == "" {
		t.Skip("RPL_CORPUS names no folder of .rpl files in the format of Unbound or Deckard")
	}
	files := 0
	unfit := make(map[string]int)
	unread, failed, passed := 0, 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".rpl" {
			return err
		}
		files++
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		t.Run(strings.TrimSuffix(filepath.ToSlash(name), ".rpl"), func(t *testing.T) {
			s, err := readCorpus(t, root, name)
			var u *corpus.Unfit
			switch {
			case errors.As(err, &u):
				unfit[u.Reason]++
				t.Skip(err)
			case err != nil:
				unread++
				t.Fatalf("cannot be read: %v", err)
			}
			synctest.Test(t, func(t *testing.T) { err = s.Run(t.Context(), 1) })
			if err != nil {
				failed++
				t.Fatalf("%s: %v", s.Title, err)
			}
			passed++
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatalf("no .rpl files below %s", root)
	}
	skipped := 0
	for _, reason := range slices.Sorted(maps.Keys(unfit)) {
		skipped += unfit[reason]
		t.Logf("%4d skipped: %s", unfit[reason], reason)
	}
	t.Logf("of %d files %d passed, %d failed, %d could not be read, %d were skipped", files, passed, failed, unread, skipped)
}

// readCorpus parses a file below root.
func readCorpus(t *testing.T, root, name string) (*Scenario, error) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), "deckard.yaml")); err == nil {
		return nil, &corpus.Unfit{File: name, Line: 1, Reason: "settings of kresd beside it"}
	}
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return ReadForeign(name, f)
}
