package place

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
)

// mustDir makes a directory with one of everything in it.
func mustDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	err = errors.Join(os.WriteFile(dir+"/file", nil, 0o600), os.Mkdir(dir+"/dir", 0o700), os.Mkdir(dir+"/closed", 0o500),
		os.Symlink("file", dir+"/link"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPlace(t *testing.T) {
	dir := mustDir(t)
	tests := []struct {
		name string
		ask  func(string) error
		path string
		want string
	}{
		{"a new file", File, "/new", ""},
		{"one that is there", File, "/file", ""},
		{"a link to one", File, "/link", ""},
		{"a socket in its place", File, "/socket", "DIR/socket is there and is not a file"},
		{"a directory in its place", File, "/dir", "DIR/dir is a directory"},
		{"no directory for it", File, "/none/file", "there is no directory DIR/none"},
		{"a file instead of its directory", File, "/file/file", "DIR/file is not a directory"},
		{"the longest name", File, "/" + strings.Repeat("a", 250), ""},
		{"one too long to have a new one beside it", File, "/" + strings.Repeat("a", 251),
			"the name of the file has 251 octets, at most 250 can be replaced"},
		{"a directory of somebody else", File, "/closed/file", "DIR/closed: permission denied for this user"},
		{"a new socket", Socket, "/new", ""},
		{"a socket that is there", Socket, "/socket", ""},
		{"a file in the place of one", Socket, "/file", "DIR/file is there and is not a socket"},
		{"a link in the place of one", Socket, "/link", "DIR/link is there and is not a socket"},
		{"a directory in the place of one", Socket, "/dir", "DIR/dir is a directory"},
		{"no directory for one", Socket, "/none/socket", "there is no directory DIR/none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.want, "permission") && os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			got := ""
			if err := tt.ask(dir + tt.path); err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestDirectory_tellsThatItIsAbsent(t *testing.T) {
	if err := Directory(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	named := func(key string) bool { return key == "named" }
	wrong, lesser := Check(named,
		Wanted{"named", dir + "/none/s", Socket}, Wanted{"default", dir + "/none/f", File},
		Wanted{"fine", dir + "/f", File}, Wanted{"off", "", File})
	if len(wrong) != 1 || wrong[0].Error() != "named: there is no directory "+dir+"/none" {
		t.Errorf("wrong: %v", wrong)
	}
	if len(lesser) != 1 || lesser[0].Error() != "default: there is no directory "+dir+"/none" {
		t.Errorf("lesser: %v", lesser)
	}
}
