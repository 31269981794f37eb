package checks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"proxima/bgpctl"
	"proxima/bgpctl/check"
	"proxima/cache"
	"proxima/clock"
	"proxima/config"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
)

const (
	// recursionLimit bounds one run of the check of recursion: 8 s, of which the
	// targets may take two thirds. Slow is not ill: a client waits 4.4 s at most.
	recursionLimit = 8 * time.Second

	// slowRise and slowFall are the runs in a row that lift and make a fault of a
	// check that depends on others. Fixed: one run more than the proofs want by
	// default, since nobody is turned away meanwhile.
	slowRise, slowFall = 3, 3

	// dnsPort is where servers of the root listen.
	dnsPort = 53
)

// resolving are the checks of what a cache does not hide.
func (p Parts) resolving() (list []bgpctl.Check) {
	if c := p.Config.Health.Recursion; len(c.Targets) > 0 {
		o := check.RecursionOptions{Targets: c.Targets, Quorum: c.Quorum, Ask: p.askAnew}
		if servers := rootServers(p.Config, p.Hints); c.Roots && len(servers) > 0 {
			o.Roots = check.Roots(servers, p.Sources)
		}
		list = append(list, bgpctl.Check{
			Name: "recursion", Class: bgpctl.Upstream, Run: check.Recursion(o), Excuse: check.Unasked,
			Every: c.Every, Limit: min(recursionLimit, c.Every), Rise: slowRise, Fall: slowFall,
		})
	}
	c := p.Config.Health.Validation
	if !p.Config.DNSSEC.Validate {
		return list
	}
	add := func(name string, class bgpctl.Class, run func(context.Context) error) {
		list = append(list, bgpctl.Check{
			Name: name, Class: class, Run: run, Excuse: check.Unasked,
			Every: c.Every, Limit: min(recursionLimit, c.Every), Rise: slowRise, Fall: slowFall,
		})
	}
	if len(c.Good)+len(c.Bogus) > 0 {
		add("validation", bgpctl.Shared, check.Validation(c.Good, c.Bogus, p.judge))
	}
	if c.Clock && len(c.Good) > 0 && p.Config.DNSSEC.ValidationTime.IsZero() {
		add("clock", bgpctl.SoftLocal, check.Clock(c.Good, p.window, clock.Now))
	}
	return list
}

// judge walks to the SOA of a name and says what it is worth.
func (p Parts) judge(ctx context.Context, name string) check.Verdict {
	a, err := p.Walker.Lookup(ctx, dns.Question{Name: name, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}, iterate.NewBudget())
	e, failed := errors.AsType[*iterate.Error](err)
	switch {
	case failed && e.Bogus && !e.Unsure:
		return check.Bogus
	case err != nil:
		return check.Unjudged
	case a.Security() == cache.Secure && a.Rcode() == dns.RcodeSuccess:
		return check.Secure
	case a.Security() == cache.Secure:
		return check.Absent
	case a.Rcode() != dns.RcodeSuccess:
		return check.Unjudged
	}
	return check.Insecure
}

// window walks to the SOA of a name, believing all, and returns when its
// signature is valid.
func (p Parts) window(ctx context.Context, name string) (w check.Window) {
	a, err := p.Walker.LookupUnchecked(ctx, dns.Question{Name: name, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}, iterate.NewBudget())
	var m dns.Msg
	if err != nil || m.Unpack(a.Packet()) != nil {
		return w
	}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == dns.TypeSOA {
			return check.Window{From: time.Unix(int64(sig.Inception), 0), To: time.Unix(int64(sig.Expiration), 0)}
		}
	}
	return w
}

// askAnew walks to a name, past the cache and past what zones have denied
// before. Nothing is validated: that is another check's.
func (p Parts) askAnew(ctx context.Context, name string) error {
	q := dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}
	_, err := p.Walker.LookupUnchecked(ctx, q, iterate.NewBudget())
	return unasked(err)
}

// unasked makes an error of a walk that lacked something of this process one
// that says so.
func unasked(err error) error {
	if e, ok := errors.AsType[*iterate.Error](err); ok && e.Local {
		return fmt.Errorf("%w: %v", check.ErrUnasked, err)
	}
	return err
}

// rootServers are the addresses of each server of the root; none if the root is
// sent elsewhere, so that its servers are nobody's concern.
func rootServers(c *config.Node, hints []anchor.Server) (all [][]netip.AddrPort) {
	isRoot := func(z config.Zone) bool { return z.Zone == "." }
	if slices.ContainsFunc(c.Recursion.Forward, isRoot) || slices.ContainsFunc(c.Recursion.Stub, isRoot) {
		return nil
	}
	for _, s := range hints {
		var at []netip.AddrPort
		for _, a := range s.Addrs {
			if a.Is4() && c.Upstream.IPv4 || a.Is6() && c.Upstream.IPv6 {
				at = append(at, netip.AddrPortFrom(a, dnsPort))
			}
		}
		all = append(all, at)
	}
	return all
}
