package iterate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// A kind is what a reply is worth.
type kind uint8

const (
	lame     kind = iota // nothing: ask the next server
	referral             // a deeper zone and its servers
	answer               // the records, at the end of any aliases
	denial               // the name or the type does not exist
	alias                // the name stands for another one, whose records are not here
)

// A verdict is what classify makes of a reply. Only what it holds is believed.
type verdict struct {
	kind kind

	// reason says why the reply is lame, and broken that the server is rather
	// than that it has nothing to do with the zone.
	reason string
	broken bool

	rcode     int
	answer    []dns.RR // aliases in the order of the chain, then the data; with signatures
	authority []dns.RR // denial: SOA and proofs; answer: proofs of a wildcard
	steps     int      // aliases in answer
	target    string   // alias: the name to go on with

	// Of a referral, and of the root's answer about itself: the zone, its
	// servers and their addresses that the asked zone may give, all in lower
	// case, and the life of the delegation, in seconds. DS and NSEC records are
	// in authority.
	zone    string
	servers []string
	glue    map[string][]netip.Addr
	ttl     uint32
}

// classify judges the reply of one of cut's servers to q, whose name is in
// lower case. It is the only place where records are let in: each must lie in
// the zone that was asked, and belong to what the reply claims to be. An answer
// yields the chain from q's name and nothing else; a denial the SOA and proofs;
// a referral the NS set of one deeper zone on the way to q's name, its DS, and
// the addresses of those servers inside the asked zone (CVE-2025-11411,
// CVE-2025-40778, CVE-2026-42960).
func classify(q dns.Question, reply *dns.Msg, cut *Cut) verdict {
	if why := unusable(q, reply, cut); why != "" {
		return verdict{reason: why, broken: reply.Rcode != dns.RcodeRefused}
	}
	c := chase(q, reply.Answer, cut.Zone)
	switch {
	case (c.found || c.steps > 0) && isSecondHand(reply, cut):
		return secondHand
	case c.tooMany:
		return verdict{reason: fmt.Sprintf("more than %d records in a set", maxRRset), broken: true}
	case c.found && reply.Rcode == dns.RcodeNameError:
		return verdict{reason: "denied what it answered", broken: true}
	case c.tooLong:
		return verdict{kind: answer, rcode: dns.RcodeYXDomain, answer: c.chain, steps: c.steps}
	case c.found:
		v := verdict{kind: answer, answer: c.chain, steps: c.steps, authority: proofs(reply.Ns, cut.Zone)}
		if q.Name == "." && q.Qtype == dns.TypeNS {
			v.readRoot(reply)
		}
		return v
	case c.steps > 0:
		return verdict{kind: alias, answer: c.chain, steps: c.steps, target: c.name, authority: proofs(reply.Ns, cut.Zone)}
	}
	return classifyEmpty(q, reply, cut)
}

// classifyEmpty judges a reply without an answer to q or an alias.
func classifyEmpty(q dns.Question, reply *dns.Msg, cut *Cut) verdict {
	if reply.Rcode == dns.RcodeYXDomain {
		return verdict{reason: "YXDOMAIN without a DNAME that says so", broken: true}
	}
	if soa := findSOA(q.Name, reply.Ns, cut.Zone); soa != nil {
		if isSecondHand(reply, cut) {
			return secondHand
		}
		return verdict{kind: denial, rcode: reply.Rcode, authority: append(soa, proofs(reply.Ns, cut.Zone)...)}
	}
	if reply.Rcode == dns.RcodeSuccess && !cut.recursive {
		if v := delegation(q, reply, cut.Zone); v.kind == referral || v.reason != "" {
			return v
		}
	}
	if !reply.Authoritative && !cut.recursive {
		return verdict{reason: "neither answer nor referral"}
	}
	return verdict{kind: denial, rcode: reply.Rcode}
}

// unusable says why the reply as a whole is worth nothing, or "".
func unusable(q dns.Question, reply *dns.Msg, cut *Cut) string {
	switch {
	case !reply.Response || reply.Opcode != dns.OpcodeQuery:
		return "not a reply to a query"
	case len(reply.Question) != 1 || reply.Question[0].Qtype != q.Qtype || reply.Question[0].Qclass != q.Qclass ||
		dns.CanonicalName(reply.Question[0].Name) != q.Name:
		return "replied to another question"
	case reply.Truncated:
		return "truncated"
	}
	switch reply.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
	default:
		return cmp.Or(dns.RcodeToString[reply.Rcode], fmt.Sprintf("RCODE%d", reply.Rcode))
	}
	return ""
}

// secondHand is the verdict on a reply that its sender has from somebody else: a
// resolver's, where a server of the zone was asked. Referrals are excepted,
// because servers that also resolve for others refer with the same flags.
var secondHand = verdict{reason: "a resolver, not a server of the zone"}

// isSecondHand reports whether the flags say that a reply is secondHand.
func isSecondHand(reply *dns.Msg, cut *Cut) bool {
	return !cut.recursive && !reply.Authoritative && reply.RecursionAvailable
}

// delegation reads a referral from zone on the way to q's name, if there is one.
func delegation(q dns.Question, reply *dns.Msg, zone string) verdict {
	v := verdict{ttl: maxUint31}
	for _, rr := range reply.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(ns.Hdr.Name)
		if !strictlyBelow(zone, owner) || !dns.IsSubDomain(owner, q.Name) || (q.Qtype == dns.TypeDS && owner == q.Name) {
			continue
		}
		if v.zone != "" && owner != v.zone {
			return verdict{reason: "referred to two zones", broken: true}
		}
		v.kind, v.zone = referral, owner
		v.ttl = min(v.ttl, ttlOf(rr))
		if name := dns.CanonicalName(ns.Ns); !slices.Contains(v.servers, name) && len(v.servers) < maxReferredServers {
			v.servers = append(v.servers, name)
		}
	}
	if v.kind == referral {
		v.authority = delegationProofs(reply.Ns, zone, v.zone)
		v.glue = v.readGlue(reply.Extra, zone)
	}
	return v
}

// readRoot takes the servers out of a priming reply, RFC 9609: the one answer
// whose additional section counts, because the root has no parent to give it.
func (v *verdict) readRoot(reply *dns.Msg) {
	v.zone, v.ttl = ".", maxUint31
	for _, rr := range v.answer {
		if ns, ok := rr.(*dns.NS); ok && len(v.servers) < maxReferredServers {
			v.servers = append(v.servers, dns.CanonicalName(ns.Ns))
			v.ttl = min(v.ttl, ttlOf(rr))
		}
	}
	v.glue = v.readGlue(reply.Extra, ".")
}

// readGlue takes the addresses of v's servers that zone may give, and shortens
// the life of v to theirs.
func (v *verdict) readGlue(extra []dns.RR, zone string) map[string][]netip.Addr {
	glue := make(map[string][]netip.Addr)
	for _, rr := range extra {
		addr, ok := addressOf(rr)
		if !ok || rr.Header().Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(rr.Header().Name)
		if !dns.IsSubDomain(zone, owner) || !slices.Contains(v.servers, owner) {
			continue
		}
		if len(glue[owner]) < maxAddresses && !slices.Contains(glue[owner], addr) {
			glue[owner] = append(glue[owner], addr)
			v.ttl = min(v.ttl, ttlOf(rr))
		}
	}
	return glue
}

// findSOA returns the signed SOA of a zone that may deny name, if there is one.
func findSOA(name string, rrs []dns.RR, zone string) []dns.RR {
	for _, rr := range rrs {
		soa, ok := rr.(*dns.SOA)
		if !ok || soa.Hdr.Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(soa.Hdr.Name)
		if dns.IsSubDomain(zone, owner) && dns.IsSubDomain(owner, name) {
			return append([]dns.RR{soa}, signatures(rrs, owner, dns.TypeSOA)...)
		}
	}
	return nil
}

// proofs returns the NSEC and NSEC3 records inside zone, with their signatures.
func proofs(rrs []dns.RR, zone string) []dns.RR {
	return filter(rrs, func(rr dns.RR) bool {
		return isProof(covered(rr)) && dns.IsSubDomain(zone, dns.CanonicalName(rr.Header().Name))
	})
}

// delegationProofs returns the signed DS set of child or proofs of its absence.
func delegationProofs(rrs []dns.RR, zone, child string) []dns.RR {
	return append(proofs(rrs, zone), filter(rrs, func(rr dns.RR) bool {
		return covered(rr) == dns.TypeDS && dns.CanonicalName(rr.Header().Name) == child
	})...)
}

// signatures returns the RRSIG records over typ at name.
func signatures(rrs []dns.RR, name string, typ uint16) []dns.RR {
	return filter(rrs, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return ok && sig.TypeCovered == typ && dns.CanonicalName(sig.Hdr.Name) == name
	})
}

// filter returns the records of class IN that are wanted, maxRRset at most.
func filter(rrs []dns.RR, wanted func(dns.RR) bool) (out []dns.RR) {
	for _, rr := range rrs {
		if len(out) < maxRRset && rr.Header().Class == dns.ClassINET && wanted(rr) {
			out = append(out, rr)
		}
	}
	return out
}

// covered returns the type of the record, of a signature the type it covers.
func covered(rr dns.RR) uint16 {
	if sig, ok := rr.(*dns.RRSIG); ok {
		return sig.TypeCovered
	}
	return rr.Header().Rrtype
}

// isProof reports whether records of typ deny something.
func isProof(typ uint16) bool { return typ == dns.TypeNSEC || typ == dns.TypeNSEC3 }

// strictlyBelow reports whether name lies below zone and is not zone.
func strictlyBelow(zone, name string) bool { return name != zone && dns.IsSubDomain(zone, name) }

// addressOf returns the address in an A or AAAA record.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	var octets []byte
	switch rr := rr.(type) {
	case *dns.A:
		octets = rr.A
	case *dns.AAAA:
		octets = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(octets)
	return addr.Unmap(), ok
}

const maxUint31 = 1<<31 - 1

// ttlOf returns the TTL, 0 if the top bit is set: RFC 2181 section 8.
func ttlOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl <= maxUint31 {
		return ttl
	}
	return 0
}
