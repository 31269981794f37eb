// Package arch holds the tests of the house itself: who imports whom, what a
// package may reach outside, how files and functions are sized and named. They
// read the source as data, need nothing but the go command, and each rule says
// why it is there.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	Module       *struct{ Path string }
	Imports      []string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

const module = "proxima/"

// may lists, for each package of ours, the packages of ours that it may
// import: a package imports only what stands below it, and what is not listed
// here is an error. cmd and test may import anything but test.
var may = map[string][]string{
	"resolver":                 {"resolver/record", "resolver/iterate", "cache", "wire", "clock", "crew"},
	"resolver/iterate":         {"resolver/phrase", "resolver/found", "resolver/quota", "resolver/minimize", "resolver/limit", "resolver/record", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/selection", "resolver/anchor", "cache", "wire", "clock"},
	"resolver/dialogue":        {"resolver/limit", "resolver/record", "resolver/reply", "resolver/selection", "wire", "clock", "crew"},
	"resolver/trust":           {"resolver/reply", "resolver/denial", "resolver/dnssec", "wire", "clock"},
	"resolver/reply":           {"resolver/dnssec", "wire"},
	"resolver/limit":           {"resolver/reply", "resolver/dnssec"},
	"resolver/found":           {"resolver/reply", "resolver/dnssec", "cache", "wire", "clock"},
	"resolver/quota":           {},
	"resolver/minimize":        {},
	"resolver/phrase":          {"resolver/found", "resolver/record", "resolver/reply", "resolver/trust", "resolver/dnssec", "clock"},
	"resolver/record":          {},
	"resolver/denial":          {"resolver/dnssec"},
	"resolver/dnssec":          {},
	"resolver/anchor":          {"disk"},
	"resolver/selection":       {},
	"resolver/localroot":       {"resolver/dnssec", "clock"},
	"resolver/localroot/fetch": {"resolver/localroot", "resolver/dnssec", "clock", "disk"},
	"resolver/upstream":        {"resolver/upstream/ports", "clock", "crew"},
	"resolver/upstream/ports":  {},
	"server":                   {"server/ratelimit", "server/socket", "wire", "crew"},
	"server/ratelimit":         {},
	"server/socket":            {},
	"cache":                    {"wire", "clock"},
	"wire":                     {},
	"clock":                    {},
	"crew":                     {},
	"disk":                     {},
	"bgpctl":                   {},
	"bgpctl/check":             {"bgpctl"},
	"bgpctl/sidecar":           {"bgpctl", "bgpctl/sidecar/state", "disk"},
	"bgpctl/sidecar/state":     {"bgpctl"},
	"bgpctl/sidecar/gobgp":     {"bgpctl", "bgpctl/sidecar"},
	"bgpctl/sidecar/guard":     {},
	"bgpctl/sidecar/script":    {"bgpctl/sidecar"},
	"bgpctl/sidecar/dryrun":    {"bgpctl/sidecar"},
	"bgpctl/sidecar/kernel":    {"bgpctl/sidecar"},
	"bgpctl/sidecar/bird":      {"bgpctl/sidecar", "disk"},
	"config":                   {"config/document", "disk"},
	"config/document":          {},
	"netsetup":                 {},
	"cmd/proxima":              anything,
	"cmd/proxima-bgp":          anything,
	"cmd/internal/admin":       {},
	"cmd/internal/checks":      {"bgpctl", "bgpctl/check", "cache", "clock", "config", "netsetup", "resolver/anchor", "resolver/iterate", "server"},
	"cmd/internal/claim":       {"cmd/internal/peer"},
	"cmd/internal/control":     {"cmd/internal/peer"},
	"cmd/internal/ctl":         {"cmd/internal/control", "bgpctl", "bgpctl/sidecar"},
	"cmd/internal/explain":     {"cmd/internal/control", "resolver", "resolver/record"},
	"cmd/internal/logging":     {},
	"cmd/internal/memory":      {},
	"cmd/internal/peer":        {},
	"cmd/internal/place":       {},
	"cmd/internal/program":     {"cmd/internal/logging", "config"},
	"cmd/internal/snapshot":    {"cache", "clock", "disk"},
	"cmd/internal/signals":     {},
	"cmd/internal/systemd":     {},
	"test/arch":                anything,
	"test/sim":                 anything,
	"test/scenario":            anything,
	"test/corpus":              anything,
	"test/lab":                 anything,
	"test/load":                anything,
	"test/chart":               {},
	"test/netns":               anything,
	"test/router":              anything,
	"test/peers":               anything,
	"test/node":                anything,
	"test/classes":             anything,
	"test/image":               anything,
	"test/roll":                anything,
	"test/internet":            anything,
}

var anything = []string{"*"}

// outside lists the modules beyond the standard library that a package may
// import. cmd and test are free.
var outside = map[string][]string{
	"resolver/minimize":        {"github.com/miekg/dns"},
	"resolver":                 {"github.com/miekg/dns"},
	"resolver/iterate":         {"github.com/miekg/dns", "github.com/hashicorp/golang-lru/v2"},
	"resolver/dialogue":        {"github.com/miekg/dns", "github.com/hashicorp/golang-lru/v2"},
	"resolver/denial":          {"github.com/miekg/dns", "github.com/hashicorp/golang-lru/v2"},
	"resolver/found":           {"github.com/miekg/dns"},
	"resolver/phrase":          {"github.com/miekg/dns"},
	"resolver/trust":           {"github.com/miekg/dns", "github.com/hashicorp/golang-lru/v2"},
	"resolver/reply":           {"github.com/miekg/dns"},
	"resolver/dnssec":          {"github.com/miekg/dns", "github.com/cloudflare/circl"},
	"resolver/anchor":          {"github.com/miekg/dns"},
	"resolver/selection":       {"github.com/hashicorp/golang-lru/v2"},
	"resolver/localroot":       {"github.com/miekg/dns"},
	"resolver/localroot/fetch": {"github.com/miekg/dns"},
	"resolver/upstream":        {"github.com/miekg/dns", "github.com/hashicorp/golang-lru/v2", "golang.org/x/sys"},
	"server":                   {"go.uber.org/zap", "golang.org/x/sys", "golang.org/x/net"},
	"server/socket":            {"golang.org/x/sys"},
	"bgpctl":                   {"go.uber.org/zap"},
	"bgpctl/check":             {"github.com/miekg/dns"},
	"bgpctl/sidecar":           {"go.uber.org/zap", "golang.org/x/sys"},
	"bgpctl/sidecar/gobgp":     {"go.uber.org/zap", "github.com/osrg/gobgp/v4"},
	"bgpctl/sidecar/guard":     {"go.uber.org/zap"},
	"bgpctl/sidecar/script":    {"go.uber.org/zap"},
	"bgpctl/sidecar/dryrun":    {"go.uber.org/zap"},
	"bgpctl/sidecar/kernel":    {"github.com/vishvananda/netlink", "golang.org/x/sys"},
	"config":                   {"go.yaml.in/yaml/v3"},
	"config/document":          {"go.yaml.in/yaml/v3"},
	"netsetup":                 {"github.com/vishvananda/netlink", "golang.org/x/sys"},
}

// bans forbids single imports in a package, with the reason.
var bans = []struct {
	in     []string
	path   string
	reason string
}{
	{[]string{"resolver", "resolver/iterate", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/localroot"}, "net", "whole resolutions run in tests without sockets; use net/netip"},
	{[]string{"resolver", "resolver/iterate", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/localroot"}, "os", "the core reads no files and no environment"},
	{[]string{"resolver", "resolver/iterate", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/localroot"}, "log", "the core returns errors and counts; cmd logs"},
	{[]string{"resolver", "resolver/iterate", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/selection", "resolver/upstream", "resolver/localroot", "resolver/localroot/fetch", "cache", "wire", "server"}, "math/rand", "its numbers can be guessed; use math/rand/v2 with ChaCha8 (CVE-2025-40780)"},
	{[]string{"resolver", "resolver/iterate", "resolver/dialogue", "resolver/trust", "resolver/reply", "resolver/denial", "resolver/dnssec", "resolver/localroot", "resolver/localroot/fetch", "server", "cache", "wire", "bgpctl", "bgpctl/check", "bgpctl/sidecar", "bgpctl/sidecar/bird", "bgpctl/sidecar/dryrun", "bgpctl/sidecar/kernel", "netsetup", "config"}, "os/exec", "no room of the daemon starts programs"},
}

func TestPackages_importOnlyWhatStandsBelow(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := may[name]
		if !known {
			t.Errorf("%s has no place in the house: give it one in this test, and an ADR", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module)
			if !ok {
				continue
			}
			if strings.HasPrefix(ours, "test/") && !strings.HasPrefix(name, "test/") {
				t.Errorf("%s imports %s: only tests import test", name, ours)
			}
			if !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which does not stand below it", name, ours)
			}
		}
	}
}

func TestPackages_reachOutsideOnlyWhereListed(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "test/") {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, module) || !strings.Contains(strings.Split(imp, "/")[0], ".") {
				continue
			}
			if !slices.ContainsFunc(outside[name], func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }) {
				t.Errorf("%s imports %s, which is not among its libraries", name, imp)
			}
		}
	}
}

func TestPackages_keepTheBans(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, ban := range bans {
			if slices.Contains(ban.in, name) && slices.Contains(p.Imports, ban.path) {
				t.Errorf("%s imports %s: %s", name, ban.path, ban.reason)
			}
		}
	}
}

func TestDaemon_doesNotContainTheBGPSpeaker(t *testing.T) {
	// A malformed UPDATE must never take the resolver down with it: BGP lives
	// in the sidecar's process only.
	out, err := exec.Command("go", "list", "-deps", module+"cmd/proxima").Output()
	if err != nil {
		t.Fatalf("go list: %v", explain(err))
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, "github.com/osrg/gobgp") {
			t.Errorf("cmd/proxima depends on %s", strings.TrimSpace(dep))
		}
	}
}

// list returns every package of the module.
func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", explain(err))
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list named no package")
	}
	return pkgs
}

// explain adds what the go command printed.
func explain(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return errors.New(err.Error() + ": " + string(exit.Stderr))
	}
	return err
}
