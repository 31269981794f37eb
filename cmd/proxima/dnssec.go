package main

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"proxima/cache"
	"proxima/cmd/internal/snapshot"
	"proxima/config"
	"proxima/disk"
	"proxima/resolver/anchor"
	"proxima/resolver/denial"
	"proxima/resolver/dnssec"
	"proxima/resolver/trust"
)

// trustOptions say where chains of trust begin and end. Without validation they
// begin nowhere.
func trustOptions(c *config.Node) (o trust.Options, err error) {
	if !c.DNSSEC.Validate {
		return o, nil
	}
	if o.Anchors, err = readAnchors(c.DNSSEC.TrustAnchors); err != nil {
		return o, err
	}
	for _, n := range c.DNSSEC.NegativeTrustAnchors {
		o.Exceptions = append(o.Exceptions, trust.Exception{Zone: n.Zone, Until: n.Until})
	}
	if c.DNSSEC.Aggressive {
		if o.Denials, err = denial.New(denial.Options{Off: c.DNSSEC.AggressiveExcept}); err != nil {
			return o, err
		}
	}
	o.Time = c.DNSSEC.ValidationTime
	o.Rules = rules(c)
	return o, nil
}

// rules are what is supported.
func rules(c *config.Node) dnssec.Rules {
	r := dnssec.Rules{SHA1: c.DNSSEC.SHA1 == "validate", Iterations: c.DNSSEC.NSEC3Iterations}
	if r.Iterations == 0 {
		r.Iterations = -1 // its 0 is the default
	}
	return r
}

// idleAnchors says which of the operator's anchors are of no use, because their
// algorithm is not supported: their zone is insecure unless it has others.
func idleAnchors(c *config.Node) (idle []error) {
	if !c.DNSSEC.Validate {
		return nil
	}
	for i, entry := range c.DNSSEC.TrustAnchors {
		some, err := readAnchor(entry)
		if err != nil {
			continue // which is told elsewhere
		}
		for _, ds := range some {
			if rules(c).Unsupported(ds) != nil {
				idle = append(idle, fmt.Errorf("dnssec.trust_anchors[%d]: key %d of %s makes nothing secure: "+
					"algorithm %d is not supported%s", i, ds.KeyTag, ds.Hdr.Name, ds.Algorithm, unless(ds.Algorithm)))
			}
		}
	}
	return idle
}

// unless says under which setting an algorithm is supported.
func unless(algorithm uint8) string {
	if algorithm == dns.RSASHA1 || algorithm == dns.RSASHA1NSEC3SHA1 {
		return " unless dnssec.sha1 is validate"
	}
	return ""
}

// keptAnswers is where the answers are kept over a restart. They rest on this
// version of the program, on the anchors and on all that decides whom to ask and
// what to believe; and none lives longer than TTL and staleness may last.
func keptAnswers(c *config.Node, answers *cache.Cache, log *zap.Logger) (f snapshot.File, err error) {
	anchors, err := readAnchors(c.DNSSEC.TrustAnchors)
	return snapshot.File{
		Path: c.Cache.Snapshot, Cache: answers, Log: log, MaxAge: c.Cache.MaxTTL + c.Cache.Stale,
		Rests: snapshot.DigestOf(self().Release(), anchors, c.DNSSEC, c.Recursion, c.Cache.MinTTL, c.Cache.MaxTTL),
	}, err
}

// readAnchors reads trust anchors, each a record or the path of a file with
// records. Without any it returns the root's.
func readAnchors(list []string) ([]*dns.DS, error) {
	if len(list) == 0 {
		return anchor.Keys(), nil
	}
	var all []*dns.DS
	for i, entry := range list {
		some, err := readAnchor(entry)
		if err != nil {
			return nil, fmt.Errorf("dnssec.trust_anchors[%d]: %w", i, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func readAnchor(entry string) ([]*dns.DS, error) {
	if !strings.HasPrefix(entry, "/") {
		return anchor.ReadKeys(strings.NewReader(entry + "\n"))
	}
	f, err := disk.Open(entry)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := anchor.ReadKeys(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", entry, err)
	}
	return keys, nil
}
