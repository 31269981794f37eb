//go:build linux

package router

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"proxima/test/netns"
)

// startBIRD starts BIRD 2 as a router.
func startBIRD(dir string, h *netns.Host, p Plan) error {
	bird, err := findProgram("bird")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, p.Name+".conf")
	if err := os.WriteFile(conf, []byte(birdConfig(p)), 0o644); err != nil {
		return err
	}
	return startLogged(dir, h, p.Name, exec.Command(bird, "-f", "-c", conf, "-s", filepath.Join(dir, p.Name+".ctl"), "-P", filepath.Join(dir, p.Name+".pid")))
}

func birdConfig(p Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, `log stderr all;
router id %s;
protocol device { scan time 1; }
protocol kernel k4 { ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel k6 { ipv6 { import none; export where source = RTS_BGP; }; }
filter gshut {
	if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
	accept;
}
`, p.ID)
	for i, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, "protocol static own%d { %s;\n", i, family)
		for _, o := range p.Originate {
			if o.Addr().Is6() == (i == 1) {
				fmt.Fprintf(&b, "\troute %s unreachable;\n", o)
			}
		}
		b.WriteString("}\n")
	}
	for _, n := range p.Neighbors {
		channels := [2][]string{{"ipv4", "ipv6"}, nil}
		if n.Transit {
			channels = [2][]string{{"ipv4"}, {"ipv6"}}
		}
		for i, families := range channels {
			if len(families) == 0 {
				continue
			}
			fmt.Fprintf(&b, `protocol bgp %s_%d {
	local %s as %d;
	neighbor %s as %d;
	graceful restart off;
	hold time 9;
	connect delay time 1; connect retry time 2; error wait time 1, 5;
`, n.Name, i, n.Local[i], p.ASN, n.Remote[i], n.ASN)
			for _, f := range families {
				fmt.Fprintf(&b, "\t%s { import filter gshut; export where source ~ [ RTS_BGP, RTS_STATIC ]; next hop self; };\n", f)
			}
			b.WriteString("}\n")
		}
	}
	return b.String()
}

// startFRR starts FRR's zebra and bgpd as a router.
func startFRR(dir string, h *netns.Host, p Plan) error {
	run := filepath.Join(dir, p.Name)
	if err := os.MkdirAll(run, 0o755); err != nil {
		return err
	}
	if err := giveTo("frr", run); err != nil {
		return err
	}
	for _, d := range []struct{ name, conf string }{{"zebra", "hostname " + p.Name + "\n"}, {"bgpd", frrConfig(p)}} {
		name := d.name
		program, err := findProgram(name)
		if err != nil {
			return err
		}
		conf := filepath.Join(run, name+".conf")
		if err := os.WriteFile(conf, []byte(d.conf), 0o644); err != nil {
			return err
		}
		cmd := exec.Command(program, "-f", conf, "-i", filepath.Join(run, name+".pid"),
			"-z", filepath.Join(run, "zserv.api"), "--vty_socket", run, "-P", "0", "--log", "stdout")
		if err := startLogged(dir, h, p.Name+"-"+name, cmd); err != nil {
			return err
		}
		if name == "zebra" {
			if err := awaitFile(filepath.Join(run, "zserv.api")); err != nil {
				return fmt.Errorf("zebra of %s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// giveTo makes a directory the property of a user: FRR's daemons give up root.
func giveTo(name, dir string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	return errors.Join(errUID, errGID, os.Chown(dir, uid, gid))
}

func frrConfig(p Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname %s\nrouter bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp network import-check\n bgp graceful-restart-disable\n", p.Name, p.ASN, p.ID)
	var v4, v6 strings.Builder
	for _, o := range p.Originate {
		if o.Addr().Is6() {
			fmt.Fprintf(&v6, "  network %s\n", o)
		} else {
			fmt.Fprintf(&v4, "  network %s\n", o)
		}
	}
	for _, n := range p.Neighbors {
		for i, remote := range n.Remote {
			if i == 1 && !n.Transit {
				break
			}
			fmt.Fprintf(&b, " neighbor %s remote-as %d\n Neighbor %s timers 3 9\n Neighbor %s timers connect 1\n", remote, n.ASN, remote, remote)
			// GRACEFUL_SHUTDOWN lowers the local preference without being told, RFC 8326.
			if i == 0 {
				fmt.Fprintf(&v4, "  neighbor %s activate\n", remote)
			} else {
				fmt.Fprintf(&v4, "  no neighbor %s activate\n", remote)
			}
			if i == 1 || !n.Transit {
				fmt.Fprintf(&v6, "  neighbor %s activate\n", remote)
			}
		}
	}
	fmt.Fprintf(&b, " address-family ipv4 unicast\n%s exit-address-family\n address-family ipv6 unicast\n%s exit-address-family\n", v4.String(), v6.String())
	return b.String()
}
