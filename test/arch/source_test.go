package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// maxFile and maxFunc bound files and functions, in lines: what fits into
	// a reader's head at once. maxPackage bounds a package without its tests.
	maxFile    = 500
	maxFunc    = 60
	maxPackage = 2000
)

// A source is one parsed file of a package.
type source struct {
	pkg, path string
	test      bool
	fset      *token.FileSet
	file      *ast.File
}

func TestSource_isShort(t *testing.T) {
	lines := map[string]int{}
	for _, s := range sources(t) {
		n := s.fset.File(s.file.Pos()).LineCount()
		if n > maxFile {
			t.Errorf("%s has %d lines, at most %d: could it be two rooms?", s.path, n, maxFile)
		}
		if s.test {
			continue
		}
		lines[s.pkg] += n
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunc {
				t.Errorf("%s: %s has %d lines, at most %d", s.fset.Position(f.Pos()), f.Name.Name, n, maxFunc)
			}
		}
	}
	for name, n := range lines {
		if n > maxPackage {
			t.Errorf("package %s has %d lines, at most %d", name, n, maxPackage)
		}
	}
}

func TestSource_exportedNamesHaveASentence(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: exported %s has no comment", s.fset.Position(d.Pos()), name)
			}
		}
	}
}

func TestSource_packagesTellATrip(t *testing.T) {
	told := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			told[s.pkg] = told[s.pkg] || s.file.Doc != nil
		}
	}
	for name, ok := range told {
		if !ok {
			t.Errorf("package %s has no package comment", name)
		}
	}
}

func TestSource_namesSayWhatTheyAre(t *testing.T) {
	vague := []string{"util", "utils", "common", "base", "helper", "helpers", "manager", "impl", "data", "misc"}
	for _, s := range sources(t) {
		file := strings.TrimSuffix(filepath.Base(s.path), ".go")
		for _, word := range append(strings.Split(file, "_"), s.file.Name.Name) {
			if slices.Contains(vague, word) {
				t.Errorf("%s: %q says nothing: name the type or the verb in it", s.path, word)
			}
		}
		if strings.Contains(file, "-") {
			t.Errorf("%s: no hyphens in file names", s.path)
		}
	}
}

// Where the time may come from.
const (
	handedDown = "one clock reading per packet, handed down as `at`"
	movable    = "what lives and ends goes by package clock, so that a test can let months pass"
)

func TestSource_clockIsHandedDown(t *testing.T) {
	rules := map[string]string{
		"wire": handedDown, "cache": handedDown, "resolver/denial": handedDown, "resolver/dnssec": handedDown,
		"resolver/reply": handedDown, "resolver/selection": handedDown, "resolver/anchor": handedDown,
		"resolver": movable, "resolver/iterate": movable, "resolver/dialogue": movable, "resolver/trust": movable,
		"resolver/localroot": movable, "resolver/localroot/fetch": movable,
	}
	for _, s := range sources(t) {
		rule := rules[s.pkg]
		if s.test || rule == "" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since") {
				t.Errorf("%s: time.%s in %s: %s", s.fset.Position(n.Pos()), sel.Sel.Name, s.pkg, rule)
			}
			return true
		})
	}
}

// undocumented returns the exported names of a declaration that no comment
// explains. A group's comment speaks for all of its members; methods of
// unexported types are not exported.
func undocumented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return nil
		}
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					if n.IsExported() && spec.Doc == nil && spec.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range list(t) {
		for _, f := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			fset := token.NewFileSet()
			path := filepath.Join(p.Dir, f)
			parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, source{
				pkg:  strings.TrimPrefix(p.ImportPath, module),
				path: strings.TrimPrefix(p.ImportPath, module) + "/" + f,
				test: strings.HasSuffix(f, "_test.go"), fset: fset, file: parsed,
			})
		}
	}
	return all
}
