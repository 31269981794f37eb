package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	full := errors.New("disk full")
	put := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, wrong := io.WriteString(w, text)
			return errors.Join(wrong, err)
		}
	}
	tests := []struct {
		name  string
		there string // before; "" = no file
		left  bool   // a crash left half a file beside it
		write func(io.Writer) error
		want  string
		wrong error
	}{
		{"a new file", "", false, put("new", nil), "new", nil},
		{"in the place of another", "old", false, put("new", nil), "new", nil},
		{"after a crash", "old", true, put("new", nil), "new", nil},
		{"a disk that is full leaves the old one", "old", false, put("ne", full), "old", full},
		{"a disk that is full leaves nothing", "", true, put("ne", full), "", full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "file")
			if tt.there != "" {
				if err := os.WriteFile(file, []byte(tt.there), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.left {
				if err := os.WriteFile(filepath.Join(dir, ".file.new"), []byte("half of a long file"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := Replace(file, 0o600, tt.write); !errors.Is(err, tt.wrong) {
				t.Errorf("error %v, want %v", err, tt.wrong)
			}
			got, _ := os.ReadFile(file)
			if string(got) != tt.want {
				t.Errorf("the file has %q, want %q", got, tt.want)
			}
			if all, _ := os.ReadDir(dir); len(all) > 1 || len(all) == 1 && tt.want == "" {
				t.Errorf("left behind: %v", all)
			}
			if info, err := os.Stat(file); err == nil && tt.wrong == nil && info.Mode() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
		})
	}
}

func TestReplace_inADirectoryThatIsNot(t *testing.T) {
	if err := Replace(filepath.Join(t.TempDir(), "no", "file"), 0o600, func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
