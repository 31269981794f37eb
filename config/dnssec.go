package config

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// DNSSEC is the section dnssec.
type DNSSEC struct {
	Validate             bool
	TrustAnchors         []string // records, or paths of files with records; empty = the root's, built in
	AnchorState          string   // path, empty = what has become of the anchors is not kept
	NegativeTrustAnchors []NegativeTrustAnchor
	Aggressive           bool
	AggressiveExcept     []string // zones, in lower case, with the final dot
	NSEC3Iterations      int
	SHA1                 string    // insecure or validate
	ValidationTime       time.Time // zero = the present
}

// A NegativeTrustAnchor is a zone that is not validated, with all below it.
type NegativeTrustAnchor struct {
	Zone  string    // in lower case, with the final dot
	Until time.Time // zero = for ever
}

// maxAnchors bounds the trust anchors of a file. 64: a zone in the midst of a
// roll has two, and an operator has a few zones with anchors of their own.
const maxAnchors = 64

func (c *DNSSEC) field() field {
	return section("dnssec",
		one("validate", &c.Validate, boolean),
		list("trust_anchors", &c.TrustAnchors, maxAnchors, trustAnchor),
		one("anchor_state", &c.AnchorState, orEmpty(filePath)),
		negativeTrustAnchors(&c.NegativeTrustAnchors),
		one("aggressive", &c.Aggressive, boolean),
		list("aggressive_except", &c.AggressiveExcept, maxZones, zoneName),
		// RFC 9276 section 3.2; no resolver in use allows more than 150.
		one("nsec3_iterations", &c.NSEC3Iterations, number[int](0, 150)),
		one("sha1", &c.SHA1, choice("insecure", "validate")),
		one("validation_time", &c.ValidationTime, orEmpty(moment)))
}

// negativeTrustAnchors reads a list in which an entry is a zone, or a section
// with the zone and the time when it is over.
func negativeTrustAnchors(to *[]NegativeTrustAnchor) field {
	return field{"negative_trust_anchors", func(r *reader, key string, node *yaml.Node) {
		if !r.isList(key, node, maxZones, zoneName.allowed+", or zone and until") {
			return
		}
		var values []NegativeTrustAnchor
		places := make(map[string]int)
		for i, item := range node.Content {
			place := fmt.Sprintf("%s[%d]", key, i)
			r.lines[place] = item.Line
			var n NegativeTrustAnchor
			if item.Kind == yaml.MappingNode {
				section("", one("zone", &n.Zone, zoneName), one("until", &n.Until, moment)).read(r, place, item)
			} else {
				n.Zone, _ = zoneName.read(r, place, item)
			}
			values = append(values, n)
			switch first, twice := places[n.Zone]; {
			case n.Zone == "" && item.Kind == yaml.MappingNode && !r.has(place+".zone"):
				r.fault(place, "has no zone", zoneName.allowed)
			case twice && n.Zone != "":
				r.fault(place, fmt.Sprintf("%s is the zone of %s[%d] already", n.Zone, key, first), "")
			default:
				places[n.Zone] = i
			}
		}
		*to = values
	}}
}

// trustAnchor is a DS or DNSKEY record as text, or the path of a file with such
// records, which is read when the node starts.
var trustAnchor = kind[string]{`a record like ". IN DS 20326 8 2 E06D…", a DNSKEY record, or the absolute path of a file with such records`, "!!str",
	func(text string) (string, string) {
		words := strings.Fields(text)
		if len(words) == 1 {
			return filePath.parse(text)
		}
		if len(words) > 1 && isNumber(words[1], 31) { // a TTL, as dig prints it, means nothing
			words = slices.Delete(words, 1, 2)
		}
		if len(words) < 7 || !strings.EqualFold(words[1], "IN") {
			return "", refused
		}
		if _, wrong := zoneName.parse(words[0]); wrong != "" || !strings.HasSuffix(words[0], ".") {
			return "", "begins with no domain name and its final dot"
		}
		switch data := strings.Join(words[6:], ""); strings.ToUpper(words[2]) {
		case "DS":
			return text, wrongDS(words[3:6], data)
		case "DNSKEY":
			return text, wrongDNSKEY(words[3:6], data)
		}
		return "", refused
	}}

// wrongDS says what is wrong with the data of a DS record, RFC 4034 section 5.3.
func wrongDS(numbers []string, digest string) string {
	octets := map[string]int{"2": 32, "4": 48}[numbers[2]] // SHA-256 and SHA-384
	text, err := hex.DecodeString(digest)
	switch {
	case !isNumber(numbers[0], 16) || !isNumber(numbers[1], 8):
		return "has no good key tag or algorithm"
	case octets == 0:
		return "has a digest type other than 2 and 4"
	case err != nil || len(text) != octets:
		return fmt.Sprintf("has no digest of %d hexadecimal digits", 2*octets)
	}
	return ""
}

// wrongDNSKEY says what is wrong with the data of a DNSKEY record, RFC 4034
// section 2.2.
func wrongDNSKEY(numbers []string, key string) string {
	const zoneKey, revoked = 256, 128
	flags, err := strconv.ParseUint(numbers[0], 10, 16)
	text, bad := base64.StdEncoding.DecodeString(key)
	switch {
	case err != nil || flags&zoneKey == 0 || flags&revoked != 0:
		return "has not the flags of a zone key that is in use"
	case numbers[1] != "3" || !isNumber(numbers[2], 8):
		return "has no good protocol or algorithm"
	case bad != nil || len(text) == 0:
		return "has no key in Base64"
	}
	return ""
}

// isNumber reports whether text is a decimal number of so many bits.
func isNumber(text string, bits int) bool {
	_, err := strconv.ParseUint(text, 10, bits)
	return err == nil
}
