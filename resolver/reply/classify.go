// Package reply judges what a server said: pure functions over one message.
//
// A walk has asked a server of a zone, and has its reply. Classify says what
// kind that is, and lets in only what may count of it: each record must lie in
// the zone that was asked, and belong to what the reply claims to be. The walk
// goes on with the Verdict and never looks at the message again.
package reply

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// A Kind is what a reply is worth.
type Kind uint8

const (
	Lame     Kind = iota // nothing: ask the next server
	Referral             // a deeper zone and its servers
	Answer               // the records, at the end of any aliases
	Denial               // the name or the type does not exist
	Alias                // the name stands for another one, whose records are not here
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	return [...]string{"lame", "referral", "answer", "denial", "alias"}[k]
}

// A Verdict is what Classify makes of a reply. Only what it holds is believed.
type Verdict struct {
	Kind Kind

	// Reason says why the reply is Lame, and Broken that the server is rather
	// than that it has nothing to do with the zone.
	Reason string
	Broken bool

	// Otherwise is what a Lame reply is worth if no other server says more; nil
	// for nothing.
	Otherwise *Verdict

	Rcode     int
	Answer    []dns.RR // aliases in the order of the chain, then the data; with signatures
	Authority []dns.RR // denial: SOA and proofs; answer: proofs of a wildcard
	Steps     int      // aliases in Answer
	Target    string   // alias: the name to go on with

	// Of a referral, and of the root's answer about itself: the zone, its
	// servers and their addresses that the asked zone may give, all in lower
	// case, and the life of the delegation, in seconds. DS and NSEC records are
	// in Authority.
	Zone    string
	Servers []string
	Glue    map[string][]netip.Addr
	TTL     uint32
}

// String is the verdict for people: its kind, and what matters of that.
func (v *Verdict) String() string {
	switch v.Kind {
	case Referral:
		return v.Kind.String() + " to " + v.Zone
	case Alias:
		return v.Kind.String() + " of " + v.Target
	case Lame:
		return v.Kind.String() + ": " + v.Reason
	}
	return v.Kind.String()
}

// From says whose reply it is.
type From struct {
	Zone      string // the zone whose servers were asked, in lower case
	Recursive bool   // they are resolvers: believe no referral

	// SecondHand says that nobody has more to offer than what resolvers say whom
	// the zone has for servers.
	SecondHand bool
}

// Classify judges the reply of one of the servers of a zone to q, whose name is in
// lower case. It is the only place where records are let in: each must lie in
// the zone that was asked, and belong to what the reply claims to be. An answer
// yields the chain from q's name and nothing else; a denial the SOA and proofs;
// a referral the NS set of one deeper zone on the way to q's name, its DS, and
// the addresses of those servers inside the asked zone (CVE-2025-11411,
// CVE-2025-40778, CVE-2026-42960).
func Classify(q dns.Question, reply *dns.Msg, from From) Verdict {
	if why := unusable(q, reply, from); why != "" {
		return Verdict{Reason: why, Broken: reply.Rcode != dns.RcodeRefused}
	}
	c := chase(q, reply.Answer, from.Zone)
	switch {
	case (c.found || c.steps > 0) && isSecondHand(reply, from):
		return secondHand(q, reply, from)
	case c.tooMany:
		return Verdict{Reason: fmt.Sprintf("more than %d records in a set", maxRRset), Broken: true}
	case c.found && reply.Rcode == dns.RcodeNameError:
		return Verdict{Reason: "denied what it answered", Broken: true}
	case c.tooLong:
		return Verdict{Kind: Answer, Rcode: dns.RcodeYXDomain, Answer: c.chain, Steps: c.steps}
	case c.found:
		v := Verdict{Kind: Answer, Answer: c.chain, Steps: c.steps, Authority: proofs(reply.Ns, from.Zone)}
		if q.Name == "." && q.Qtype == dns.TypeNS {
			v.readRoot(reply)
		}
		return v
	case c.steps > 0:
		return Verdict{Kind: Alias, Answer: c.chain, Steps: c.steps, Target: c.name, Authority: proofs(reply.Ns, from.Zone)}
	}
	return classifyEmpty(q, reply, from)
}

// classifyEmpty judges a reply without an answer to q or an alias.
func classifyEmpty(q dns.Question, reply *dns.Msg, from From) Verdict {
	if reply.Rcode == dns.RcodeYXDomain {
		return Verdict{Reason: "YXDOMAIN without a DNAME that says so", Broken: true}
	}
	if soa := findSOA(q.Name, reply.Ns, from.Zone); soa != nil {
		if isSecondHand(reply, from) {
			return secondHand(q, reply, from)
		}
		return Verdict{Kind: Denial, Rcode: reply.Rcode, Authority: append(soa, proofs(reply.Ns, from.Zone)...)}
	}
	if reply.Rcode == dns.RcodeSuccess && !from.Recursive {
		if v := delegation(q, reply, from.Zone); v.Kind == Referral || v.Reason != "" {
			return v
		}
	}
	if !reply.Authoritative && !from.Recursive {
		return Verdict{Reason: "neither answer nor referral"}
	}
	return Verdict{Kind: Denial, Rcode: reply.Rcode, Authority: proofs(reply.Ns, from.Zone)}
}

// unusable says why the reply as a whole is worth nothing, or "".
func unusable(q dns.Question, reply *dns.Msg, from From) string {
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
// resolver's, where a server of the zone was asked. Where all are like that, it
// is what there is. Referrals are excepted, because servers that also resolve
// for others refer with the same flags.
func secondHand(q dns.Question, reply *dns.Msg, from From) Verdict {
	from.SecondHand = true
	v := Classify(q, reply, from)
	return Verdict{Reason: "a resolver, not a server of the zone", Otherwise: &v}
}

// isSecondHand reports whether the flags say that a reply is secondHand.
func isSecondHand(reply *dns.Msg, from From) bool {
	return !from.Recursive && !from.SecondHand && !reply.Authoritative && reply.RecursionAvailable
}

// delegation reads a referral from zone on the way to q's name, if there is one.
func delegation(q dns.Question, reply *dns.Msg, zone string) Verdict {
	v := Verdict{TTL: MaxTTL}
	for _, rr := range reply.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(ns.Hdr.Name)
		if !strictlyBelow(zone, owner) || !dns.IsSubDomain(owner, q.Name) || (q.Qtype == dns.TypeDS && owner == q.Name) {
			continue
		}
		if v.Zone != "" && owner != v.Zone {
			return Verdict{Reason: "referred to two zones", Broken: true}
		}
		v.Kind, v.Zone = Referral, owner
		v.TTL = min(v.TTL, TTL(rr))
		if name := dns.CanonicalName(ns.Ns); !slices.Contains(v.Servers, name) && len(v.Servers) < maxReferredServers {
			v.Servers = append(v.Servers, name)
		}
	}
	if v.Kind == Referral {
		v.Authority = delegationProofs(reply.Ns, zone, v.Zone)
		v.Glue = v.readGlue(reply.Extra, zone)
	}
	return v
}

// readRoot takes the servers out of a priming reply, RFC 9609: the one answer
// whose additional section counts, because the root has no parent to give it.
func (v *Verdict) readRoot(reply *dns.Msg) {
	v.Zone, v.TTL = ".", MaxTTL
	for _, rr := range v.Answer {
		if ns, ok := rr.(*dns.NS); ok && len(v.Servers) < maxReferredServers {
			v.Servers = append(v.Servers, dns.CanonicalName(ns.Ns))
			v.TTL = min(v.TTL, TTL(rr))
		}
	}
	v.Glue = v.readGlue(reply.Extra, ".")
}

// readGlue takes the addresses of v's servers that zone may give, and shortens
// the life of v to theirs.
func (v *Verdict) readGlue(extra []dns.RR, zone string) map[string][]netip.Addr {
	glue := make(map[string][]netip.Addr)
	for _, rr := range extra {
		addr, ok := Address(rr)
		if !ok || rr.Header().Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(rr.Header().Name)
		if !dns.IsSubDomain(zone, owner) || !slices.Contains(v.Servers, owner) {
			continue
		}
		if len(glue[owner]) < MaxAddresses && !slices.Contains(glue[owner], addr) {
			glue[owner] = append(glue[owner], addr)
			v.TTL = min(v.TTL, TTL(rr))
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

// Address returns the address in an A or AAAA record.
func Address(rr dns.RR) (netip.Addr, bool) {
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

// MaxTTL is the greatest TTL there is, in seconds: RFC 2181 section 8.
const MaxTTL = 1<<31 - 1

// TTL returns the TTL, 0 if the top bit is set: RFC 2181 section 8.
func TTL(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl <= MaxTTL {
		return ttl
	}
	return 0
}
