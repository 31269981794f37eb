package arch

import (
	"go/ast"
	"os"
	"regexp"
	"testing"
)

// TestAttacks_nameTestsThatExist reads the page on attacks: a class whose test
// was renamed or lost is not held by anything.
func TestAttacks_nameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				there[f.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 50 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, n := range named {
		if !there[n[1]] {
			t.Errorf("docs/attacks.md names %s, which does not exist", n[1])
		}
	}
}
