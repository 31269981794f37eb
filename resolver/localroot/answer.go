package localroot

import (
	"strings"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// Answer returns what a server of the root replies to q, with DO set. It is nil
// if that does not follow from the zone: for types of questions rather than
// records, and for signatures. The caller owns the reply.
func (z *Zone) Answer(q dns.Question) *dns.Msg {
	if q.Qclass != dns.ClassINET || isMeta(q.Qtype) || q.Qtype == dns.TypeRRSIG {
		return nil
	}
	name, key, err := canonical(q.Name)
	if err != nil {
		return nil
	}
	m := &dns.Msg{Question: []dns.Question{q}}
	m.Response, m.Authoritative = true, true
	n := z.nodes[name]
	if cut := z.cutAbove(key); cut != nil && (cut != n || q.Qtype != dns.TypeDS) {
		z.refer(m, cut)
		return m
	}
	if n == nil {
		z.deny(m, key)
		return m
	}
	set := n.set(q.Qtype)
	if set == nil {
		z.denyType(m, n)
		return m
	}
	m.Answer = appendSet(m.Answer, set)
	if q.Qtype == dns.TypeNS { // priming, RFC 9609: with the addresses
		z.addGlue(m, set)
	}
	return m
}

// cutAbove returns where the zone is left on the way down to a name, nil if it
// is not.
func (z *Zone) cutAbove(key string) *node {
	if n := z.covering(key); z.delegates(n) && strings.HasPrefix(key, n.key) {
		return n
	}
	return nil
}

// refer makes m a referral: the servers, DS or the proof that there is none, and
// the addresses.
func (z *Zone) refer(m *dns.Msg, cut *node) {
	m.Authoritative = false
	servers := cut.set(dns.TypeNS)
	for _, rr := range servers.RRs {
		m.Ns = append(m.Ns, dns.Copy(rr))
	}
	if ds := cut.set(dns.TypeDS); ds != nil {
		m.Ns = appendSet(m.Ns, ds)
	} else {
		m.Ns = appendSet(m.Ns, cut.set(dns.TypeNSEC))
	}
	z.addGlue(m, servers)
}

// addGlue adds the addresses that the zone has of servers.
func (z *Zone) addGlue(m *dns.Msg, servers *dnssec.RRset) {
	for _, rr := range servers.RRs {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		name, _, err := canonical(ns.Ns)
		n := z.nodes[name]
		if err != nil || n == nil {
			continue
		}
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if set := n.set(typ); set != nil {
				m.Extra = appendSet(m.Extra, set)
			}
		}
	}
}

// deny makes m the denial of a name at which there is nothing: NXDOMAIN, unless
// there is something below.
func (z *Zone) deny(m *dns.Msg, key string) {
	cover := z.covering(key)
	z.denyType(m, cover)
	if z.exists(key) {
		return
	}
	m.Rcode = dns.RcodeNameError
	encloser := above(key)
	for !z.exists(encloser) {
		encloser = above(encloser)
	}
	if wild := z.covering(encloser + "*\x00"); wild != cover {
		m.Ns = appendSet(m.Ns, wild.set(dns.TypeNSEC))
	}
}

// denyType makes m the denial that the NSEC record at proof proves.
func (z *Zone) denyType(m *dns.Msg, proof *node) {
	m.Ns = appendSet(m.Ns, z.apex.set(dns.TypeSOA))
	for _, rr := range m.Ns { // RFC 2308 section 3
		rr.Header().Ttl = min(rr.Header().Ttl, z.soa.Minttl)
	}
	m.Ns = appendSet(m.Ns, proof.set(dns.TypeNSEC))
}

// appendSet appends copies of a set's records and its signatures: who gets them
// may change their TTLs. Without a set, as a zone has that Verify would refuse,
// it appends nothing.
func appendSet(rrs []dns.RR, set *dnssec.RRset) []dns.RR {
	if set == nil {
		return rrs
	}
	for _, rr := range set.RRs {
		rrs = append(rrs, dns.Copy(rr))
	}
	for _, sig := range set.Sigs {
		rrs = append(rrs, dns.Copy(sig))
	}
	return rrs
}
