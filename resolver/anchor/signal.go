package anchor

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

const (
	// optionKeyTag is edns-key-tag, RFC 8145 section 4.1.
	optionKeyTag = 14

	// maxTags bounds the tags that are signalled. 12: a zone in the midst of a
	// roll has two.
	maxTags = 12
)

// Tags returns the key tags of a zone's anchors, in order and none twice.
func Tags(zone string, anchors []*dns.DS) []uint16 {
	var tags []uint16
	for _, a := range anchors {
		if a.Hdr.Name == zone {
			tags = append(tags, a.KeyTag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// TagOption returns the EDNS option that tells a zone's servers, in a query for
// its DNSKEY, which of its keys are trusted here: RFC 8145 section 4.1; nil if
// there is nothing to tell.
func TagOption(zone string, anchors []*dns.DS) dns.EDNS0 {
	tags := Tags(zone, anchors)
	if len(tags) == 0 {
		return nil
	}
	var octets []byte
	for _, tag := range tags[:min(len(tags), maxTags)] {
		octets = binary.BigEndian.AppendUint16(octets, tag)
	}
	return &dns.EDNS0_LOCAL{Code: optionKeyTag, Data: octets}
}
