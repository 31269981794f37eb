//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"proxima/test/netns"
)

// routerEnv holds the path of a routerPlan: its presence makes this program a
// transit router instead of the lab.
const routerEnv = "PROXIMA_LAB_ROUTER"

// A routerPlan is all that a transit router has to know, whatever software it
// runs.
type routerPlan struct {
	Name      string
	ASN       uint32
	ID        netip.Addr
	Originate []netip.Prefix
	Neighbors []neighbor
}

// A neighbor is the other end of a cable. A node speaks one session over IPv4
// for both families; transit routers speak one for each.
type neighbor struct {
	Name          string
	Link          string
	ASN           uint32
	Local, Remote [2]netip.Addr
	Transit       bool
}

// routerKinds start a router's programs on a host: what they are configured
// by is the plan, what they achieve shows in the host's routing table.
var routerKinds = map[string]func(dir string, h *netns.Host, p routerPlan) error{
	"gobgp": startGoBGP,
	"bird":  startBIRD,
	"frr":   startFRR,
}

// startGoBGP starts this program again as a router.
func startGoBGP(dir string, h *netns.Host, p routerPlan) error {
	plan := filepath.Join(dir, p.Name+".json")
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(plan, text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), routerEnv+"="+plan)
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
