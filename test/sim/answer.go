package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// payloadSize is the largest datagram, in octets, that a server sends and
// offers to take. RFC 9715 section 3.2.
const payloadSize = 1232

// maxAliases bounds the CNAME and DNAME records followed within one zone for
// one reply, so that a loop ends. BIND stops at 16.
const maxAliases = 16

// maxName is the most octets of a name in wire format, RFC 1035 section 2.3.4.
const maxName = 255

// A reply is a message in the making.
type reply struct {
	*dns.Msg
	zone *Zone
	host *host
	do   bool
}

// answer replies to q from h's zones. The caller holds mu.
func (h *host) answer(q *dns.Msg) *dns.Msg {
	if q.Opcode != dns.OpcodeQuery {
		return errorReply(q, dns.RcodeNotImplemented)
	}
	if len(q.Question) != 1 || q.Response {
		return errorReply(q, dns.RcodeFormatError)
	}
	opt := q.IsEdns0()
	if opt != nil && opt.Version() != 0 {
		m := errorReply(q, dns.RcodeBadVers)
		setOPT(m, q)
		return m
	}
	question := q.Question[0]
	z := h.zoneFor(question)
	transfer := question.Qtype == dns.TypeAXFR || question.Qtype == dns.TypeIXFR
	if z == nil || question.Qclass != dns.ClassINET || transfer {
		m := errorReply(q, dns.RcodeRefused)
		setOPT(m, q)
		return m
	}
	z.index()
	r := &reply{Msg: errorReply(q, dns.RcodeSuccess), zone: z, host: h, do: opt != nil && opt.Do()}
	r.Authoritative = true
	r.resolve(question.Name, question.Qtype)
	setOPT(r.Msg, q)
	return r.Msg
}

// zoneFor returns the deepest zone for the question, nil if there is none. DS
// belongs to the parent where that is here too, RFC 4035 section 3.1.4.1.
func (h *host) zoneFor(q dns.Question) *Zone {
	var best, child *Zone
	name := dns.CanonicalName(q.Name)
	for _, z := range h.zones {
		switch {
		case !dns.IsSubDomain(z.name, name):
		case z.name == name && q.Qtype == dns.TypeDS:
			child = z
		case best == nil || len(z.name) > len(best.name):
			best = z
		}
	}
	if best == nil {
		return child
	}
	return best
}

// A place is where the search for a name ended.
type place struct {
	kind  placeKind
	owner string // canonical: the name, the wildcard, the cut, the DNAME or, for missing, the closest encloser
	node  node
}

type placeKind uint8

const (
	exact placeKind = iota
	wildcard
	delegated
	renamed // by a DNAME record
	missing
)

// find walks down from the apex to a canonical name.
func (z *Zone) find(name string, typ uint16) place {
	offsets := append(dns.Split(name), len(name)-1) // the last one is the root's
	start := len(offsets) - 1 - dns.CountLabel(z.name)
	encloser := z.name
	for i := start; i >= 0; i-- {
		owner := name[offsets[i]:]
		at := z.nodes[owner]
		isCut := owner != z.name && at[dns.TypeNS] != nil
		switch {
		case at == nil:
			star := "*." + strings.TrimPrefix(encloser, ".")
			if at = z.nodes[star]; at != nil {
				return place{wildcard, star, at}
			}
			return place{missing, encloser, nil}
		case isCut && !(i == 0 && typ == dns.TypeDS):
			return place{delegated, owner, at}
		case i == 0:
			return place{exact, owner, at}
		case at[dns.TypeDNAME] != nil:
			return place{renamed, owner, at}
		}
		encloser = owner
	}
	return place{exact, z.name, z.nodes[z.name]}
}

// resolve answers for the name, alias after alias while they stay in the zone.
func (r *reply) resolve(name string, typ uint16) {
	seen := make(map[string]bool)
	for range maxAliases {
		canonical := dns.CanonicalName(name)
		if !dns.IsSubDomain(r.zone.name, canonical) || seen[canonical] {
			return
		}
		seen[canonical] = true
		at := r.zone.find(canonical, typ)
		target := ""
		switch at.kind {
		case delegated:
			r.refer(at)
		case missing:
			r.Rcode = dns.RcodeNameError
			r.deny(canonical, at)
		case renamed:
			target = r.substitute(name, at)
		default:
			target = r.take(name, typ, at)
		}
		if target == "" {
			return
		}
		name = target
	}
}

// take answers from a node, as though it were at name. It returns the target
// if that is a CNAME record.
func (r *reply) take(name string, typ uint16, at place) (target string) {
	owner := name
	if at.kind == exact {
		owner = "" // its own, in the letter case of the zone
	} else if r.do {
		r.Ns = append(r.Ns, r.zone.covering(dns.CanonicalName(name))...)
	}
	if typ == dns.TypeANY {
		for _, t := range slices.Sorted(maps.Keys(at.node)) {
			r.add(&r.Answer, at.owner, owner, at.node[t])
		}
		if len(r.Answer) > 0 {
			return ""
		}
	}
	if cname := at.node[dns.TypeCNAME]; cname != nil && typ != dns.TypeCNAME && !isDNSSEC(typ) {
		r.add(&r.Answer, at.owner, owner, cname)
		return cname[0].(*dns.CNAME).Target
	}
	set := r.zone.set(at, typ)
	if len(set) == 0 {
		r.deny(dns.CanonicalName(name), at)
		return ""
	}
	r.add(&r.Answer, at.owner, owner, set)
	r.addAddresses(set)
	return ""
}

// substitute follows a DNAME record, RFC 6672 section 3.2. It returns the new
// name, nothing if that would be too long.
func (r *reply) substitute(name string, at place) string {
	set := at.node[dns.TypeDNAME]
	r.add(&r.Answer, at.owner, "", set)
	dname := set[0].(*dns.DNAME)
	target := strings.TrimSuffix(name, strings.TrimPrefix(name[len(name)-len(at.owner):], "."))
	target += strings.TrimPrefix(dname.Target, ".")
	if !fits(target) {
		r.Rcode = dns.RcodeYXDomain
		return ""
	}
	r.Answer = append(r.Answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl},
		Target: target,
	})
	return target
}

// refer sends the asker to the servers of a child zone.
func (r *reply) refer(at place) {
	r.Authoritative = len(r.Answer) > 0
	ns := at.node[dns.TypeNS]
	r.Ns = append(r.Ns, copies(ns, "")...)
	if ds := at.node[dns.TypeDS]; ds == nil && r.do {
		r.Ns = append(r.Ns, r.zone.matching(at.owner)...)
	} else if r.do {
		r.add(&r.Ns, at.owner, "", ds)
	}
	r.addAddresses(ns)
}

// deny says that the name or the type does not exist, RFC 2308 section 2 and
// RFC 4035 section 3.1.3.
func (r *reply) deny(name string, at place) {
	z := r.zone
	soa := copies(z.nodes[z.name][dns.TypeSOA], "")
	for _, rr := range soa {
		h := rr.Header()
		h.Ttl = min(h.Ttl, rr.(*dns.SOA).Minttl) // RFC 2308 section 3
	}
	r.Ns = append(r.Ns, soa...)
	if !r.do {
		return
	}
	r.Ns = append(r.Ns, z.signatures(z.name, "", dns.TypeSOA)...)
	switch {
	case at.kind == missing:
		r.Ns = append(r.Ns, z.covering(name)...)
		r.Ns = append(r.Ns, z.covering("*."+strings.TrimPrefix(at.owner, "."))...)
	case len(at.node) == 0:
		r.Ns = append(r.Ns, z.covering(at.owner)...)
	default:
		r.Ns = append(r.Ns, z.matching(at.owner)...)
	}
	r.Ns = unique(r.Ns)
}

// add copies a set to a section, renamed to owner unless that is empty, and
// its signatures if they are wanted.
func (r *reply) add(section *[]dns.RR, at, owner string, set []dns.RR) {
	*section = append(*section, copies(set, owner)...)
	if r.do && len(set) > 0 {
		*section = append(*section, r.zone.signatures(at, owner, set[0].Header().Rrtype)...)
	}
}

// addAddresses adds what the host knows of the addresses of servers, glue
// included.
func (r *reply) addAddresses(set []dns.RR) {
	for _, rr := range set {
		var name string
		switch rr := rr.(type) {
		case *dns.NS:
			name = dns.CanonicalName(rr.Ns)
		case *dns.MX:
			name = dns.CanonicalName(rr.Mx)
		case *dns.SRV:
			name = dns.CanonicalName(rr.Target)
		default:
			continue
		}
		z := r.zone
		if !dns.IsSubDomain(z.name, name) {
			if z = r.host.zoneFor(dns.Question{Name: name}); z == nil {
				continue
			}
			z.index()
		}
		r.Extra = append(r.Extra, copies(z.nodes[name][dns.TypeA], "")...)
		r.Extra = append(r.Extra, copies(z.nodes[name][dns.TypeAAAA], "")...)
	}
	r.Extra = unique(r.Extra)
}

// errorReply returns an empty reply to q.
func errorReply(q *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(q, rcode)
	m.Compress = true
	return m
}

// setOPT gives m an OPT record if q has one.
func setOPT(m, q *dns.Msg) {
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(payloadSize, opt.Do())
	}
}

// shorten makes m fit in the datagram that q allows, and empties it if it does not
// fit or if always is set. Addresses beside an answer may go unnoticed, those of
// a referral may not, RFC 9471.
func shorten(m, q *dns.Msg, always bool) {
	size, opt := dns.MinMsgSize, q.IsEdns0()
	if opt != nil {
		size = min(max(dns.MinMsgSize, int(opt.UDPSize())), payloadSize)
	}
	isOPT := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT }
	if !always && m.Len() > size && m.Authoritative {
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return !isOPT(rr) })
	}
	if always || m.Len() > size {
		m.Truncated = true
		m.Answer, m.Ns = nil, nil
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return !isOPT(rr) })
	}
}

// copies returns copies of a set, renamed unless owner is empty.
func copies(set []dns.RR, owner string) []dns.RR {
	c := make([]dns.RR, len(set))
	for i, rr := range set {
		c[i] = dns.Copy(rr)
		if owner != "" {
			c[i].Header().Name = owner
		}
	}
	return c
}

// unique returns the records, each once.
func unique(records []dns.RR) []dns.RR {
	var once []dns.RR
	for _, rr := range records {
		same := func(other dns.RR) bool { return other.String() == rr.String() }
		if !slices.ContainsFunc(once, same) {
			once = append(once, rr)
		}
	}
	return once
}

// fits tells whether a name is within the limits of wire format.
func fits(name string) bool {
	var space [2 * maxName]byte
	n, err := dns.PackDomainName(name, space[:], 0, nil, false)
	return err == nil && n <= maxName
}
