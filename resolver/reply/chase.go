package reply

import (
	"slices"
	"strings"

	"proxima/wire"

	"github.com/miekg/dns"
)

// A chain is what an answer section says of a name: aliases, each leading to
// the next, and the data at the end.
type chain struct {
	name    string   // where the chain has led to
	chain   []dns.RR // aliases in order, then the data
	visited []string
	steps   int  // aliases
	found   bool // the data is here
	tooLong bool // a DNAME leads to a name that is too long
	tooMany bool // the data has too many records
}

// chase follows q's name through the records as far as they lie in zone. Other
// records are left out, wherever they stand. It ends where a name comes again.
func chase(q dns.Question, rrs []dns.RR, zone string) chain {
	c := chain{name: q.Name}
	for isWithin(zone, c.name) && c.steps <= MaxAliases && !slices.Contains(c.visited, c.name) {
		data := pick(rrs, c.name, q.Qtype)
		if q.Qtype == dns.TypeCNAME { // one that a DNAME makes comes with the DNAME
			if _, records, tooLong := dname(rrs, c.name, zone); records != nil {
				data, c.tooLong = records, tooLong
			}
		}
		if len(data) > 0 {
			c.chain = append(c.chain, data...)
			c.found, c.tooMany = true, count(data, q.Qtype) > maxRRset
			return c
		}
		if q.Qtype == dns.TypeCNAME || q.Qtype == dns.TypeRRSIG || !c.step(rrs, zone) {
			return c
		}
	}
	return c
}

// step follows one alias of c.name and reports whether there was one.
func (c *chain) step(rrs []dns.RR, zone string) bool {
	next, records, tooLong := dname(rrs, c.name, zone)
	if records == nil {
		next, records = cname(rrs, c.name)
	}
	if records == nil {
		return false
	}
	c.chain = append(c.chain, records...)
	c.tooLong = tooLong
	if tooLong {
		return false
	}
	c.visited = append(c.visited, c.name)
	c.name = next
	c.steps++
	return true
}

// pick returns the records of typ at name, then their signatures.
func pick(rrs []dns.RR, name string, typ uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == typ && h.Class == dns.ClassINET && dns.CanonicalName(h.Name) == name {
			out = append(out, rr)
		}
	}
	if len(out) > 0 && typ != dns.TypeRRSIG {
		out = append(out, signatures(rrs, name, typ)...)
	}
	return out
}

// count returns how many of the records are of typ.
func count(rrs []dns.RR, typ uint16) (n int) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == typ {
			n++
		}
	}
	return n
}

// cname returns where the CNAME at name leads, and the record with its
// signatures. Of several, which RFC 2181 section 10.1 forbids, the first.
func cname(rrs []dns.RR, name string) (target string, records []dns.RR) {
	for _, rr := range rrs {
		c, ok := rr.(*dns.CNAME)
		if ok && c.Hdr.Class == dns.ClassINET && dns.CanonicalName(c.Hdr.Name) == name {
			return dns.CanonicalName(c.Target), append([]dns.RR{c}, signatures(rrs, name, dns.TypeCNAME)...)
		}
	}
	return "", nil
}

// dname returns where a DNAME above name leads, RFC 6672: the DNAME with its
// signatures and the CNAME that follows from it, which is made here, whatever
// the server sent. If the new name is too long, there is none.
func dname(rrs []dns.RR, name, zone string) (target string, records []dns.RR, tooLong bool) {
	for _, rr := range rrs {
		d, ok := rr.(*dns.DNAME)
		if !ok || d.Hdr.Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(d.Hdr.Name)
		if !dns.IsSubDomain(zone, owner) || !strictlyBelow(owner, name) {
			continue
		}
		records = append([]dns.RR{d}, signatures(rrs, owner, dns.TypeDNAME)...)
		target, ok = substitute(name, owner, dns.CanonicalName(d.Target))
		if !ok {
			return "", records, true
		}
		made := &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: d.Hdr.Ttl}, Target: target}
		return target, append(records, made), false
	}
	return "", nil, false
}

// substitute replaces the suffix owner of name by target, if that is a name.
func substitute(name, owner, target string) (string, bool) {
	prefix := name
	if owner != "." {
		prefix = name[:len(name)-len(owner)]
	}
	if target == "." {
		target = ""
	}
	result := prefix + target
	var space [wire.MaxName]byte
	_, err := dns.PackDomainName(result, space[:], 0, nil, false)
	return result, err == nil
}

// isWithin is dns.IsSubDomain, which splits both names, for names that show where
// their labels end.
func isWithin(zone, name string) bool {
	above := len(name) - len(zone)
	switch {
	case zone == ".":
		return true
	case strings.IndexByte(name, '\\') >= 0:
		return dns.IsSubDomain(zone, name)
	case above > 0 && name[above-1] != '.' || above < 0:
		return false
	}
	return strings.EqualFold(name[above:], zone)
}

// Above returns the name without its first label; the root is its own parent.
func Above(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}
