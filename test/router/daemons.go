//go:build linux

package router

import (
	"errors"
	"fmt"
	"net/netip"
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
function honour_graceful_shutdown() {
	if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
}
filter from_router { honour_graceful_shutdown(); accept; }
`, p.ID)
	for i, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, "filter from_node_%s { if net !~ [ %s ] then reject; honour_graceful_shutdown(); accept; }\n", family, join(p.Anycast, i == 1))
	}
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
				if n.Transit {
					fmt.Fprintf(&b, "\t%s { import filter from_router; export where source ~ [ RTS_BGP, RTS_STATIC ]; next hop self; };\n", f)
				} else {
					fmt.Fprintf(&b, "\t%s { import filter from_node_%s; export none; };\n", f, f)
				}
			}
			if !n.Transit {
				b.WriteString("\tttl security on;\n")
			}
			b.WriteString("}\n")
		}
	}
	return b.String()
}

// join lists the prefixes of one family.
func join(prefixes []netip.Prefix, six bool) string {
	var all []string
	for _, p := range prefixes {
		if p.Addr().Is6() == six {
			all = append(all, p.String())
		}
	}
	return strings.Join(all, ", ")
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
	var b, v4, v6 strings.Builder
	fmt.Fprintf(&b, "hostname %s\n", p.Name)
	for _, a := range p.Anycast {
		version := "ip"
		if a.Addr().Is6() {
			version = "ipv6"
		}
		fmt.Fprintf(&b, "%s prefix-list anycast permit %s\n", version, a)
	}
	// GRACEFUL_SHUTDOWN lowers the local preference without being told, RFC 8326.
	fmt.Fprintf(&b, `route-map from-node permit 10
 match ip address prefix-list anycast
route-map from-node permit 20
 match ipv6 address prefix-list anycast
route-map nothing deny 10
router bgp %d
 bgp router-id %s
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart-disable
`, p.ASN, p.ID)
	for _, o := range p.Originate {
		text := &v4
		if o.Addr().Is6() {
			text = &v6
		}
		fmt.Fprintf(text, "  network %s\n", o)
	}
	for _, n := range p.Neighbors {
		n.frr(&b, &v4, &v6)
	}
	fmt.Fprintf(&b, " address-family ipv4 unicast\n%s exit-address-family\n address-family ipv6 unicast\n%s exit-address-family\n", v4.String(), v6.String())
	return b.String()
}

// frr writes a neighbor into bgpd's configuration and into the two address
// families of it.
func (n Neighbor) frr(b, v4, v6 *strings.Builder) {
	for i, remote := range n.Remote {
		if i == 1 && !n.Transit {
			break
		}
		fmt.Fprintf(b, " neighbor %s remote-as %d\n neighbor %s timers 3 9\n neighbor %s timers connect 1\n", remote, n.ASN, remote, remote)
		if !n.Transit {
			fmt.Fprintf(b, " neighbor %s ttl-security hops 1\n", remote)
			for _, text := range []*strings.Builder{v4, v6} {
				fmt.Fprintf(text, "  neighbor %s activate\n  neighbor %s route-map from-node in\n  neighbor %s route-map nothing out\n", remote, remote, remote)
			}
			continue
		}
		own, other := v4, v6
		if i == 1 {
			own, other = v6, v4
		}
		fmt.Fprintf(own, "  neighbor %s activate\n", remote)
		fmt.Fprintf(other, "  no neighbor %s activate\n", remote)
	}
}
