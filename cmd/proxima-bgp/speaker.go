package main

import (
	"bytes"
	"fmt"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/bird"
	"proxima/bgpctl/sidecar/dryrun"
	"proxima/bgpctl/sidecar/gobgp"
	"proxima/bgpctl/sidecar/kernel"
	"proxima/bgpctl/sidecar/script"
	"proxima/bgpctl/sidecar/state"
	"proxima/cmd/internal/systemd"
	"proxima/config"
	"proxima/netsetup"
)

// newSpeaker returns the speaker that the file names, and the states of its
// sessions; nil if it has none.
func newSpeaker(c *config.Sidecar, log *zap.Logger) (sidecar.Speaker, func() []gobgp.PeerStatus, error) {
	switch c.Speaker {
	case "dry-run":
		return dryrun.Speaker{Log: log}, nil, nil
	case "exec":
		s, err := script.New(execOptions(c, log))
		return s, nil, err
	case "bird":
		return bird.New(bird.Options(c.BIRD)), nil, nil
	case "kernel":
		if err := netsetup.CheckCapability(); err != nil {
			return nil, nil, fmt.Errorf("kernel: %w", err)
		}
		return kernel.New(kernel.Options{Groups: groups(c), DropFirst: c.Kernel.Daemon == "frr"}), nil, nil
	case "gobgp":
		o, err := gobgpOptions(c, log)
		if err != nil {
			return nil, nil, err
		}
		s, err := gobgp.New(o)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Peers, nil
	}
	return nil, nil, fmt.Errorf("speaker: %s is not known", c.Speaker)
}

// checkSpeaker says why newSpeaker would fail. It starts and changes nothing.
func checkSpeaker(c *config.Sidecar) error {
	switch c.Speaker {
	case "gobgp":
		o, err := gobgpOptions(c, nil)
		if err != nil {
			return err
		}
		return o.Check()
	case "exec":
		return execOptions(c, nil).Check()
	}
	return nil
}

func execOptions(c *config.Sidecar, log *zap.Logger) script.Options {
	return script.Options{Command: c.Exec.Command, Show: c.Exec.Show, ASN: c.Exec.ASN, Groups: groups(c), Log: log}
}

// gobgpOptions reads the password files, too.
func gobgpOptions(c *config.Sidecar, log *zap.Logger) (gobgp.Options, error) {
	o := gobgp.Options{
		ASN: c.GoBGP.ASN, RouterID: c.GoBGP.RouterID, HoldTime: c.GoBGP.HoldTime, Groups: groups(c), Log: log,
	}
	for _, p := range c.GoBGP.Peers {
		password, err := readPassword(p.PasswordFile)
		if err != nil {
			return gobgp.Options{}, fmt.Errorf("peer %v: password_file: %w", p.Address, err)
		}
		o.Peers = append(o.Peers, gobgp.Peer{
			Address: p.Address, Port: p.Port, ASN: p.ASN, Password: password, TTLSecurity: p.TTLSecurity, BFD: p.BFD,
		})
	}
	return o, nil
}

// readPassword returns what the file holds, without the end of its line. No
// file is no password, but an empty one is an error: it would open a session
// without the key that somebody wanted.
func readPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := config.Read(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s: is not one line with a password", file)
	}
	return string(text), nil
}

// count returns how many of the sessions are up; nil if there are none.
func count(peers func() []gobgp.PeerStatus) func() (up, all int) {
	if peers == nil {
		return nil
	}
	return func() (up, all int) {
		list := peers()
		for _, p := range list {
			if p.Up {
				up++
			}
		}
		return up, len(list)
	}
}

// sidecarOptions takes the speaker and its sessions; nil = it has none.
func sidecarOptions(c *config.Sidecar, speaker sidecar.Speaker, peers func() []gobgp.PeerStatus, log *zap.Logger) sidecar.Options {
	return sidecar.Options{
		Path: c.Socket, File: c.StateFile, Groups: groups(c), Speaker: speaker, Sessions: count(peers), Alive: systemd.Alive(log), Log: log,
		Rules: state.Rules{
			Warmup:   state.Warmup(c.Warmup),
			Degrade:  state.Degrade(c.Degrade),
			HoldDown: state.HoldDown(c.HoldDown),
			Damping:  state.Damping(c.Damping),
			Drain:    state.Drain(c.Drain),
			Guard:    guardRules(c),
		},
	}
}

func groups(c *config.Sidecar) []sidecar.Group {
	var all []sidecar.Group
	for _, g := range c.Groups {
		n := sidecar.Group{
			Name: g.Name, Prefixes: g.Prefixes, NextHop: sidecar.NextHop(g.NextHop),
			Communities: communities(g.Communities), MED: g.MED, Prepend: g.Prepend, Internal: g.Internal,
			Degraded: sidecar.Degraded{Communities: communities(g.Degraded.Communities), Prepend: g.Degraded.Prepend},
		}
		for _, l := range g.LargeCommunities {
			n.LargeCommunities = append(n.LargeCommunities, sidecar.LargeCommunity(l))
		}
		all = append(all, n)
	}
	return all
}

func communities(list []config.Community) []uint32 {
	var all []uint32
	for _, c := range list {
		all = append(all, uint32(c))
	}
	return all
}
