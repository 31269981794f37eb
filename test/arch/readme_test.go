package arch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"proxima/config"
)

// readme is the README as its readers see it.
const readme = "../../README.md"

func TestReadme_nodeFilesAreValid(t *testing.T) {
	files := fences(t, "yaml")
	if len(files) != 2 {
		t.Fatalf("the README has %d YAML files, want proxima's and the sidecar's", len(files))
	}
	if _, err := config.ParseNode("README proxima.yaml", []byte(files[0])); err != nil {
		t.Error(err)
	}
	if _, err := config.ParseSidecar("README proxima-bgp.yaml", []byte(files[1])); err != nil {
		t.Error(err)
	}
}

func TestReadme_routersTakeTheirConfiguration(t *testing.T) {
	blocks := fences(t, "")
	if len(blocks) != 2 {
		t.Fatalf("the README has %d router configurations, want BIRD's and FRR's", len(blocks))
	}
	t.Run("BIRD", func(t *testing.T) {
		conf := mustWrite(t, "bird.conf", "router id 192.0.2.1;\nprotocol device { }\n"+blocks[0])
		mustAccept(t, "bird", "-p", "-c", conf)
	})
	t.Run("FRR", func(t *testing.T) {
		mustAccept(t, "/usr/lib/frr/bgpd", "-C", "-f", mustWrite(t, "bgpd.conf", blocks[1]))
	})
}

// fences returns the README's code blocks of a language.
func fences(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	parts := strings.Split(string(text), "```")
	for i := 1; i < len(parts); i += 2 {
		first, block, _ := strings.Cut(parts[i], "\n")
		if first == language {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// mustWrite writes a file that daemons can read which give up root first.
func mustWrite(t *testing.T, name, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, name)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return file
}

// mustAccept runs a daemon's check of its configuration.
func mustAccept(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", program)); err != nil {
			t.Skip(err)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	// bgpd ends without an error also after a line that it does not know.
	if err != nil || strings.Contains(string(out), "config line") {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
}
