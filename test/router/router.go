//go:build linux

// Package router runs transit routers in network namespaces: what stands
// between Proxima's nodes and their clients in the lab and in tests.
//
// A test writes a Plan (who the router is, what it originates, whom it speaks
// BGP with) and starts it on a host as one of three Kinds: GoBGP inside this
// very program, which must call RunIfAsked first thing in main or TestMain, or
// an installed BIRD or FRR. What a router learns shows in its host's routing
// table, whatever runs there.
package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"proxima/test/netns"
)

// planEnv holds the path of a Plan: its presence makes this program a transit
// router instead of what it otherwise is.
const planEnv = "PROXIMA_TEST_ROUTER"

// A Plan is all that a transit router has to know, whatever software it
// runs.
type Plan struct {
	Name      string // of its files
	ASN       uint32
	ID        netip.Addr
	Originate []netip.Prefix
	Anycast   []netip.Prefix // what nodes may announce
	Neighbors []Neighbor
}

// A Neighbor is the other end of a cable. A node speaks one session over IPv4
// for both families; transit routers speak one for each.
type Neighbor struct {
	Name          string
	Link          string // this router's end of the cable
	ASN           uint32
	Local, Remote [2]netip.Addr // IPv4, IPv6
	Transit       bool          // it is a router too
}

// Kinds are the kinds of router there are.
var Kinds = []string{"gobgp", "bird", "frr"}

// Start starts a router of a kind on a host, its files and logs in dir. It
// dies with the host.
func Start(kind, dir string, h *netns.Host, p Plan) error {
	switch kind {
	case "gobgp":
		return startGoBGP(dir, h, p)
	case "bird":
		return startBIRD(dir, h, p)
	case "frr":
		return startFRR(dir, h, p)
	}
	return fmt.Errorf("router: %q is not one of %v", kind, Kinds)
}

// Available says why a kind cannot run here, or nil.
func Available(kind string) error {
	for _, program := range map[string][]string{"bird": {"bird"}, "frr": {"zebra", "bgpd"}}[kind] {
		if _, err := findProgram(program); err != nil {
			return err
		}
	}
	if kind == "frr" && os.Getuid() != 0 {
		return errors.New("FRR's daemons are started by root only")
	}
	return nil
}

// RunIfAsked is the life of a GoBGP router: if this process was started as
// one, it does not return.
func RunIfAsked() {
	plan := os.Getenv(planEnv)
	if plan == "" {
		return
	}
	if err := run(plan); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startGoBGP starts this program again as a router.
func startGoBGP(dir string, h *netns.Host, p Plan) error {
	plan := filepath.Join(dir, p.Name+".json")
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(plan, text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), planEnv+"="+plan)
	return startLogged(dir, h, p.Name, cmd)
}

// startLogged starts a program whose output goes to a file of its own.
func startLogged(dir string, h *netns.Host, name string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if _, err := h.Start(cmd); err != nil {
		return err
	}
	return nil
}

// findProgram looks beyond PATH, where Debian keeps routing daemons.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/lib/frr", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// awaitFile waits until a program has made its socket.
func awaitFile(path string) error {
	const limit = time.Minute // a moment, where nothing holds it up
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no %s after %v", path, limit)
}
