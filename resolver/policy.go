package resolver

import (
	"encoding/binary"

	"proxima/wire"
)

// What clients are told beside a code.
var (
	edeNotRecursive = &wire.EDE{Code: wire.EDENotAuthoritative, Text: "set RD: this is a resolver"}
	edeClass        = &wire.EDE{Code: wire.EDENotSupported, Text: "class IN only"}
	edeTransfer     = &wire.EDE{Code: wire.EDENotSupported, Text: "no zone transfers"}
	edeMetaType     = &wire.EDE{Code: wire.EDEInvalidQueryType, Text: "not a type of records"}
	edeLate         = &wire.EDE{Code: wire.EDENoReachableAuthority, Text: "no answer in time"}
	edeBusy         = &wire.EDE{Code: wire.EDEOther, Text: "too many questions under way"}
	edeClosing      = &wire.EDE{Code: wire.EDENotReady, Text: "shutting down"}
)

// Names in the CHAOS class, lower case, wire form.
const (
	nameIDServer     = "\x02id\x06server\x00"
	nameHostnameBind = "\x08hostname\x04bind\x00"
)

// firstMetaType begins the types that are no types of records but questions
// and transactions, RFC 6895 section 3.1. They end with ANY.
const firstMetaType = 128

// anyRecord is the answer to ANY, RFC 8482 section 4.2: HINFO "RFC8482" "" for
// an hour, owned by the name in the question.
const anyRecord = "\xC0\x0C\x00\x0D\x00\x01\x00\x00\x0E\x10\x00\x09\x07RFC8482\x00"

// decide appends the reply to a query that no server is asked about: all policy
// is here. ok is false if the query is to be resolved.
func (r *Resolver) decide(dst []byte, q *wire.Query) (reply []byte, ok bool) {
	switch {
	case q.Class != wire.ClassIN:
		return r.identify(dst, q), true
	case !q.RD: // the same whether the cache has the name or not
		return r.refuse(dst, q, wire.RcodeRefused, edeNotRecursive), true
	case q.Type == wire.TypeANY:
		r.counts.local.Add(1)
		return appendLocal(dst, q, wire.RcodeNoError, local{answer: anyRecord}), true
	case q.Type == wire.TypeAXFR || q.Type == wire.TypeIXFR:
		return r.refuse(dst, q, wire.RcodeRefused, edeTransfer), true
	case !isData(q.Type):
		return r.refuse(dst, q, wire.RcodeNotImp, edeMetaType), true
	}
	zone, kind := r.special.find(q)
	if kind == walked {
		return dst, false
	}
	r.counts.local.Add(1)
	return appendSpecial(dst, q, zone, kind), true
}

// isData reports whether there are records of a type.
func isData(typ uint16) bool {
	return typ != 0 && typ != wire.TypeOPT && (typ < firstMetaType || typ > wire.TypeANY)
}

// refuse appends a reply that says no.
func (r *Resolver) refuse(dst []byte, q *wire.Query, rcode uint16, why *wire.EDE) []byte {
	r.counts.refused.Add(1)
	return wire.AppendError(dst, q, rcode, why)
}

// identify answers in the other classes: who we are, RFC 4892, and nothing
// else. What version we are is nobody's business.
func (r *Resolver) identify(dst []byte, q *wire.Query) []byte {
	var space [wire.MaxName]byte
	name := wire.AppendLower(space[:0], q.Name)
	known := string(name) == nameIDServer || string(name) == nameHostnameBind
	if q.Class != wire.ClassCH || q.Type != wire.TypeTXT || !known || r.identity == "" {
		return r.refuse(dst, q, wire.RcodeRefused, edeClass)
	}
	r.counts.local.Add(1)
	return appendLocal(dst, q, wire.RcodeNoError, local{answer: r.identity})
}

// identityRecord returns the TXT record that says id, owned by the name in the
// question; "" without id.
func identityRecord(id string) string {
	if id == "" {
		return ""
	}
	rr := []byte{0xC0, wire.HeaderLen, 0, wire.TypeTXT, 0, wire.ClassCH, 0, 0, 0, 0}
	rr = binary.BigEndian.AppendUint16(rr, uint16(1+len(id)))
	rr = append(rr, byte(len(id)))
	return string(append(rr, id...))
}
