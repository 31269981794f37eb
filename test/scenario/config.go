package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/trust"
	"proxima/test/sim"
)

// defaultStale is for how long stale answers may be served if serve-expired is
// yes and serve-expired-ttl does not say.
const defaultStale = 24 * time.Hour

// config is what comes before CONFIG_END.
type config struct {
	noIPv4, noIPv6 bool
	minimize       iterate.Minimize
	minTTL, maxTTL time.Duration
	serveExpired   bool
	stale          time.Duration
	deny           []netip.Prefix
	hints          []anchor.Server
	zones          []iterate.Zone
	trust          trust.Options
	aggressive     bool
}

// config reads to CONFIG_END.
func (in *reader) config(c *config) error {
	section := "server"
	for words := in.next(); words != nil; words = in.next() {
		key, value := words[0], strings.Trim(strings.Join(words[1:], " "), `"`)
		var err error
		switch {
		case key == "CONFIG_END":
			return in.finish(c)
		case !strings.HasSuffix(key, ":"):
			err = fmt.Errorf("want key: value or CONFIG_END")
		case value == "":
			section = strings.TrimSuffix(key, ":")
			if section == "stub-zone" || section == "forward-zone" {
				c.zones = append(c.zones, iterate.Zone{Recursive: section == "forward-zone"})
			} else if section != "server" {
				err = fmt.Errorf("unknown section")
			}
		case section == "server":
			err = c.set(key, value)
		default:
			err = setZone(&c.zones[len(c.zones)-1], strings.TrimPrefix(key, strings.TrimSuffix(section, "zone")), value)
		}
		if err != nil {
			return in.fail("%s %v", key, err)
		}
	}
	return in.fail("want CONFIG_END")
}

// finish takes the stub zone of the root as hints.
func (in *reader) finish(c *config) error {
	var zones []iterate.Zone
	for _, z := range c.zones {
		switch {
		case z.Name == "" || len(z.Servers) == 0:
			return in.fail("a zone wants name and address")
		case z.Name == "." && !z.Recursive:
			hint := anchor.Server{Name: "hints.root.example."}
			for _, s := range z.Servers {
				hint.Addrs = append(hint.Addrs, s.Addr())
			}
			c.hints = append(c.hints, hint)
		default:
			zones = append(zones, z)
		}
	}
	c.zones = zones
	if c.hints == nil {
		c.hints = anchor.Roots()
	}
	return nil
}

// set takes one setting of server.
func (c *config) set(key, value string) (err error) {
	var on bool
	switch key {
	case "do-ip4:":
		on, err = truth(value)
		c.noIPv4 = !on
	case "do-ip6:":
		on, err = truth(value)
		c.noIPv6 = !on
	case "qname-minimisation:":
		if on, err = truth(value); !on {
			c.minimize = iterate.Off
		}
	case "qname-minimisation-strict:":
		if on, err = truth(value); on {
			c.minimize = iterate.Strict
		}
	case "cache-min-ttl:":
		c.minTTL, err = seconds(value)
	case "cache-max-ttl:":
		c.maxTTL, err = seconds(value)
	case "serve-expired:":
		c.serveExpired, err = truth(value)
	case "serve-expired-ttl:":
		c.stale, err = seconds(value)
	case "trust-anchor:":
		c.trust.Anchors = append(c.trust.Anchors, sim.New(zoneSeed).DS(value))
	case "domain-insecure:":
		c.trust.Exceptions = append(c.trust.Exceptions, trust.Exception{Zone: value})
	case "val-override-date:":
		c.trust.Time, err = time.Parse("20060102150405", value)
	case "aggressive-nsec:":
		c.aggressive, err = truth(value)
	case "do-not-query-address:":
		var p netip.Prefix
		p, err = prefix(value)
		c.deny = append(c.deny, p)
	default:
		err = fmt.Errorf("is unknown")
	}
	return err
}

// setZone takes one setting of a stub or forward zone.
func setZone(z *iterate.Zone, key, value string) (err error) {
	switch {
	case key == "name:":
		z.Name = dns.CanonicalName(value)
	case key == "addr:":
		var server netip.AddrPort
		server, err = addrPort(value)
		z.Servers = append(z.Servers, server)
	case key == "first:" && z.Recursive:
		z.First, err = truth(value)
	default:
		err = fmt.Errorf("is unknown")
	}
	return err
}

// truth reads yes or no.
func truth(value string) (bool, error) {
	if value != "yes" && value != "no" {
		return false, fmt.Errorf("wants yes or no")
	}
	return value == "yes", nil
}

// prefix reads a prefix or an address.
func prefix(value string) (netip.Prefix, error) {
	if strings.Contains(value, "/") {
		return netip.ParsePrefix(value)
	}
	addr, err := netip.ParseAddr(value)
	return netip.PrefixFrom(addr, addr.BitLen()), err
}

// addrPort reads an address that may have a port after @.
func addrPort(value string) (netip.AddrPort, error) {
	host, port, found := strings.Cut(value, "@")
	number := uint64(53)
	var err error
	if found {
		if number, err = strconv.ParseUint(port, 10, 16); err != nil {
			return netip.AddrPort{}, err
		}
	}
	addr, err := netip.ParseAddr(host)
	return netip.AddrPortFrom(addr, uint16(number)), err
}
