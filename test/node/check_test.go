//go:build linux

package node

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutants is how many spoilt files the program reads.
func mutants() int {
	if full() {
		return 1000
	}
	return 60
}

func TestCheck_survivesSpoiltFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "proxima.yaml")
	good := mustExample(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	named := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(file) + `:\d+: `)
	faulty := 0
	for i := range mutants() {
		text := spoil(r, good)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		printed, err := exec.CommandContext(t.Context(), filepath.Join(programs, "proxima"), "check", "-c", file).CombinedOutput()
		status, out := 0, string(printed)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			status = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case crashed(out) || status != 0 && status != 1:
			t.Fatalf("seed %d, file %d: status %d\n%s\n--- the file\n%s", seed, i, status, out, text)
		case status == 0:
		case strings.Contains(out, "this host:"): // good, but not here
		case !named.MatchString(out):
			t.Errorf("seed %d, file %d: nothing names the line\n%s\n--- the file\n%q", seed, i, out, text)
		default:
			faulty++
		}
	}
	t.Logf("%d of %d files refused with their line", faulty, mutants())
	if faulty < mutants()/3 {
		t.Errorf("only %d of %d files were refused: the spoiling is too gentle", faulty, mutants())
	}
}

// mustExample returns the file that comes with the project.
func mustExample(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "proxima.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// spoil returns a copy of a packet or a text with one to four faults.
func spoil(r *rand.Rand, good []byte) []byte {
	bad := append([]byte(nil), good...)
	for range 1 + r.IntN(4) {
		if len(bad) == 0 {
			bad = append(bad, byte(r.Uint32()))
		}
		at := r.IntN(len(bad))
		end := min(len(bad), at+1+r.IntN(16))
		switch r.IntN(7) {
		case 0: // one bit
			bad[at] ^= 1 << r.IntN(8)
		case 1: // one octet
			bad[at] = byte(r.Uint32())
		case 2: // cut off
			bad = bad[:at]
		case 3: // a piece left out
			bad = append(bad[:at], bad[end:]...)
		case 4: // a piece twice
			bad = append(bad[:end:end], bad[at:]...)
		case 5: // octets put in between
			for range 1 + r.IntN(16) {
				bad = append(bad[:at], append([]byte{byte(r.Uint32())}, bad[at:]...)...)
			}
		case 6: // a piece from elsewhere
			from := r.IntN(len(bad))
			copy(bad[at:end], bad[from:])
		}
	}
	return bad
}
