package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
	"proxima/resolver/dnssec"
	"proxima/resolver/iterate"
	"proxima/resolver/trust"
	"proxima/test/corpus"
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
	if in.dialect != native {
		return in.foreignConfig(c)
	}
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

// foreignConfig reads to CONFIG_END of a file of others. There is no switch for
// what Proxima does by default, and SHA-1 counts, since most of their zones were
// signed before 2013.
func (in *reader) foreignConfig(c *config) error {
	c.aggressive = true
	c.trust.Rules = dnssec.Rules{SHA1: true}
	var settings corpus.Settings
	for words := in.next(); words != nil; words = in.next() {
		if words[0] == "CONFIG_END" {
			if settings.IteratorOnly {
				c.trust.Anchors = nil
			}
			if settings.Deckard {
				in.dialect = deckard
			}
			return in.finish(c)
		}
		all, unfit := settings.Line(in.lines[in.at-1])
		if unfit != "" {
			return in.unfit(unfit)
		}
		for _, s := range all {
			if err := c.setForeign(s); err != nil {
				return in.fail("%s %v", s.Key, err)
			}
		}
	}
	return in.fail("want CONFIG_END")
}

// setForeign takes one setting, or the beginning of a section.
func (c *config) setForeign(s corpus.Setting) error {
	zone, isZone := strings.CutSuffix(s.Section, "zone:")
	switch {
	case isZone && s.Key == "":
		c.zones = append(c.zones, iterate.Zone{Recursive: zone == "forward-"})
	case isZone:
		return setZone(&c.zones[len(c.zones)-1], strings.TrimPrefix(s.Key, zone), s.Value)
	case s.Key != "":
		return c.set(s.Key, s.Value)
	}
	return nil
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
		var ds *dns.DS
		ds, err = trustAnchor(value)
		c.trust.Anchors = append(c.trust.Anchors, ds)
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

// trustAnchor reads the name of a signed zone of the scenario, or a DS or DNSKEY
// record.
func trustAnchor(value string) (*dns.DS, error) {
	if !strings.Contains(value, " ") {
		return sim.New(zoneSeed).DS(value), nil
	}
	rr, err := dns.NewRR(value)
	if err != nil {
		return nil, err
	}
	if key, ok := rr.(*dns.DNSKEY); ok {
		rr = key.ToDS(dns.SHA256)
	}
	ds, ok := rr.(*dns.DS)
	if !ok || ds == nil {
		return nil, fmt.Errorf("wants DS or DNSKEY")
	}
	ds.Hdr.Name = dns.CanonicalName(ds.Hdr.Name)
	return ds, nil
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
