package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Cache is the section cache.
type Cache struct {
	Memory   int64 // octets
	Stale    time.Duration
	MinTTL   time.Duration
	MaxTTL   time.Duration
	KeepWarm []Warm
	Snapshot string // path, empty = the cache begins empty
}

// A Warm is a name whose records are kept in the cache, asked for or not.
type Warm struct {
	Name string // in lower case, with the final dot
	Type uint16 // 0 = both kinds of address
}

// maxWarm bounds the names to be kept warm: 1,000, which cost two walks each in
// the shortest time that their records live.
const maxWarm = 1000

func (c *Cache) field() field {
	return section("cache",
		one("memory", &c.Memory, size("1MiB to 1TiB", 1<<20, 1<<40)),
		// RFC 8767 section 4 suggests one to three days; a week is where it caps a TTL.
		one("stale", &c.Stale, duration(0, 168*time.Hour)),
		// More than an hour would hide changes that owners of names announced.
		one("min_ttl", &c.MinTTL, duration(0, time.Hour)),
		one("max_ttl", &c.MaxTTL, duration(time.Second, 168*time.Hour)),
		list("keep_warm", &c.KeepWarm, maxWarm, warm),
		one("snapshot", &c.Snapshot, orEmpty(filePath)))
}

// warmTypes are the types of records that may be kept warm: those that clients
// ask for, by their numbers.
var warmTypes = map[string]uint16{
	"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35,
	"DS": 43, "DNSKEY": 48, "TLSA": 52, "SVCB": 64, "HTTPS": 65, "CAA": 257,
}

// warm is a name, or a name and a type with a space between.
var warm = kind[Warm]{"a domain name, alone or with one of " + strings.Join(slices.Sorted(maps.Keys(warmTypes)), ", "), "!!str",
	func(text string) (Warm, string) {
		name, typ, typed := strings.Cut(text, " ")
		number, known := warmTypes[strings.ToUpper(typ)]
		if typed && !known {
			return Warm{}, "has no good type"
		}
		name, wrong := zoneName.parse(name)
		return Warm{name, number}, wrong
	}}
