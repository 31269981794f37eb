// Package denial answers from what zones have proven not to exist, without
// asking them again: the aggressive use of RFC 8198.
//
// When a zone has denied something and the proof has been verified, a walk Puts
// the NSEC or NSEC3 records here; when a wildcard has answered, its records
// too. Before it asks a zone of the chain of trust, it Looks up whether these
// records say already that there is no such name, or no such type, or that the
// wildcard would answer. A flood of random names then ends here, and nothing
// below a name that does not exist is asked either (RFC 8020).
//
// A zone is a chain of links, each from one name, or hash, to the next: what
// lies between is not there. All links of a zone are disjoint; a newer one
// takes the place of those that it contradicts.
package denial

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proxima/resolver/dnssec"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/miekg/dns"
)

const (
	// defaultMemory is Options.Memory if it is 0: 16 MiB, some 12,000 records.
	// Those of the root take 2 MiB.
	defaultMemory = 16 << 20

	// minMemory is the least that Options.Memory may be: 1 MiB.
	minMemory = 1 << 20

	// maxZones bounds the zones, so that many with a record each do not fill the
	// memory with what is not counted: about 500 octets a zone.
	maxZones = 8192

	// maxShare is the part of the memory that one zone may take: a quarter, so
	// that nobody's zone displaces the root and the top-level domains.
	maxShare = 4
)

// Options are what an operator may decide. The zero value is the default.
type Options struct {
	Memory int      // in octets; 0 means 16 MiB, at least 1 MiB
	Off    []string // zones that are not answered for from here, with all below them
}

// A Cache holds verified denials. Its memory is bounded, and many goroutines
// may use it.
type Cache struct {
	memory int    // immutable after New
	off    []path // immutable after New

	mu    sync.Mutex
	zones *simplelru.LRU[string, *zone] // guarded by mu; the keys are names in lower case

	weight atomic.Int64 // of all zones
}

// New returns an empty Cache.
func New(o Options) (*Cache, error) {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Memory < minMemory {
		return nil, fmt.Errorf("denial: Memory is %d, at least %d octets", o.Memory, minMemory)
	}
	c := &Cache{memory: o.Memory}
	for _, name := range o.Off {
		p, ok := pathOf(dns.Fqdn(name))
		if !ok {
			return nil, fmt.Errorf("denial: Off: %q is no name", name)
		}
		c.off = append(c.off, p)
	}
	zones, err := simplelru.NewLRU(maxZones, func(_ string, z *zone) { z.close() })
	if err != nil {
		return nil, errors.Join(errors.New("denial: zones"), err)
	}
	c.zones = zones
	return c, nil
}

// Put remembers what zone, in lower case, has denied: d must be what a Prove
// function of dnssec made of its reply, with the zone's own keys, at the time
// at. soa is the SOA that came with it, which has been verified and is worth
// signed; empty if none came.
//
// The records are kept: nobody may change them any more. None outlasts its
// signature, its TTL or three hours. What the zone cannot have meant is left
// out: see readLink. If the zone has gone over from NSEC to NSEC3, back, or to
// other parameters, what was known of it is dropped.
func (c *Cache) Put(zone string, soa dnssec.RRset, signed dnssec.Signed, d dnssec.Denial, at time.Time) {
	z, links := c.open(zone, d, at)
	if z == nil {
		return
	}
	for _, l := range links {
		z.add(l, at)
	}
	if h, negative, ok := readSOA(soa, zone, signed, at); ok {
		z.putSOA(h, negative)
	}
	c.shrink(z, at)
}

// PutWildcard remembers the records that zone has expanded from the wildcard
// that signed names, together with d, the proof that it was right to do so,
// which dnssec.ProveWildcard has accepted. Otherwise it is as Put.
func (c *Cache) PutWildcard(zone string, set dnssec.RRset, signed dnssec.Signed, d dnssec.Denial, at time.Time) {
	z, links := c.open(zone, d, at)
	if z == nil {
		return
	}
	for _, l := range links {
		z.add(l, at)
	}
	if h, key, ok := readExpansion(set, zone, signed, at); ok {
		z.putExpansion(key, h)
	}
	c.shrink(z, at)
}

// open reads the links of d and returns the zone that they belong to, nil if it
// may have none or d is of no use. A reply with links of two styles is from the
// midst of a change, and of no use.
func (c *Cache) open(name string, d dnssec.Denial, at time.Time) (z *zone, links []*link) {
	apex, ok := pathOf(name)
	if !ok || c.isOff(apex) {
		return nil, nil
	}
	var s style
	for _, set := range d.Sets {
		l, style, ok := readLink(set, name, d.Until, at)
		switch {
		case !ok:
			continue
		case len(links) > 0 && style != s:
			return nil, nil
		}
		s, links = style, append(links, l)
	}
	if len(links) == 0 {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	z, ok = c.zones.Get(name)
	if !ok || z.style != s {
		c.zones.Remove(name)
		z = &zone{name: name, apex: apex, style: s, total: &c.weight}
		c.zones.Add(name, z)
	}
	return z, links
}

// isOff reports whether the operator has switched off the zone.
func (c *Cache) isOff(apex path) bool {
	return slices.ContainsFunc(c.off, apex.within)
}

// shrink brings z, and then all zones, down to what they may weigh. The zones
// that were not used for longest go first, and whole.
func (c *Cache) shrink(z *zone, at time.Time) {
	z.trim(c.memory/maxShare, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.weight.Load() > int64(c.memory) && c.zones.Len() > 1 {
		c.zones.RemoveOldest()
	}
}

// find returns what is known of a zone, nil if nothing.
func (c *Cache) find(name string) *zone {
	c.mu.Lock()
	defer c.mu.Unlock()
	z, _ := c.zones.Get(name)
	return z
}

// Drop forgets a zone, in lower case: its parent no longer vouches for it.
func (c *Cache) Drop(zone string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zones.Remove(zone)
}

// Size returns how many zones are known, and about how many octets they take.
func (c *Cache) Size() (zones int, octets int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.zones.Len(), c.weight.Load()
}
