package corpus

import (
	"encoding/base64"
	"fmt"

	"github.com/miekg/dns"
)

// Unfit is the error for a file that is not for Proxima.
type Unfit struct {
	File   string
	Line   int
	Reason string
}

// Error names file and line, as errors of reading do.
func (e *Unfit) Error() string {
	return fmt.Sprintf("%s:%d: not for Proxima: %s", e.File, e.Line, e.Reason)
}

// Reasons that are given at several places.
const (
	unfitDSA      = "DSA, which is unknown here"
	unfitTransfer = "zones that Unbound serves"
	unfitRPZ      = "response policy zones"
	unfitLocal    = "local zones, views and tags"
	unfitECS      = "ECS"
	unfitState    = "the state file of RFC 5011"
	unfitKresd    = "settings of kresd"
	unfitIdentity = "NSID and CHAOS names of Unbound"
)

// unfitSettings are keys, by how they begin, that a file is skipped for, unless
// the value matches.
var unfitSettings = []struct{ prefix, unless, reason string }{
	{"access-control-", "", unfitLocal},
	{"access-control:", `\ballow$`, "access control"},
	{"allow-notify:", "", unfitTransfer},
	{"auth-zone:", "", unfitTransfer},
	{"client-subnet", "", unfitECS},
	{"define-tag:", "", unfitLocal},
	{"disable-edns-do:", "", "DO switched off"},
	{"dns64-", "", "DNS64"},
	{"edns-client-string", "", "EDNS client strings"},
	{"edns-tcp-keepalive", "", "edns-tcp-keepalive, which is no matter of resolving"},
	{"fallback-enabled:", "", unfitTransfer},
	{"feature", `^$`, unfitKresd},
	{"forward-no-cache:", "^no$", "forwarding without a cache"},
	{"forward-host:", "", "forwarders by name"},
	{"harden-glue:", "^(yes|on|true)$", "glue for names of other zones"},
	{"hide-", "^yes$", unfitIdentity},
	{"identity:", "", unfitIdentity},
	{"jostle-timeout:", "", "jostling"},
	{"local-", "", unfitLocal},
	{"module-config:", `^(respip )?(validator )?iterator$`, "modules of Unbound"},
	{"msg-cache-size:", "", "a cache of a few messages"},
	{"nsid:", "", unfitIdentity},
	{"num-queries-per-thread:", "", "jostling"},
	{"permit-small-holddown:", "", unfitState},
	{"private-", "", "private addresses in answers"},
	{"python:", "", "modules of Unbound"},
	{"rpz", "", unfitRPZ},
	{"send-client-subnet:", "", unfitECS},
	{"serve-expired-reply-ttl:", "^30$", "another TTL of stale answers than 30 s"},
	{"serve-original-ttl:", "^no$", "TTLs that stand still"},
	{"stub-first:", "^no$", "stub zones with a way out"},
	{"stub-host:", "", "stub zones by name"},
	{"use-caps-for-id:", "^no$", "letter case as the fallback of Unbound has it"},
	{"val-override-", "^[0-9]+$", "signatures that never expire"},
	{"val-permissive-mode:", "^no$", "validation without consequence"},
	{"view", "", unfitLocal},
	{"remote-control:", "", "remote control"},
	{"zonefile:", "", unfitTransfer},
	{"zonemd-", "", unfitTransfer},
}

// meaningless are settings that change nothing that a file can see here:
// Proxima has no such switch, has it on, or the value that is not unfit is what
// it does. Blanks are around each.
const meaningless = " access-control: directory: do-not-query-localhost: ede: ede-serve-expired: fake-dsa: fake-sha1:" +
	" forward-no-cache: harden-algo-downgrade: harden-below-nxdomain: harden-dnssec-stripped: harden-glue:" +
	" harden-large-queries: harden-referral-path: harden-short-bufsize: hide-identity: hide-trustanchor: hide-version:" +
	" log-queries: log-replies: log-servfail: log-time-ascii: minimal-responses: msg-cache-slabs: outbound-msg-retry:" +
	" prefetch: prefetch-key: root-key-sentinel: rrset-cache-size: rrset-roundrobin: serve-expired-client-timeout:" +
	" serve-expired-reply-ttl: serve-original-ttl: stub-first: stub-no-cache: stub-prime: target-fetch-policy:" +
	" trust-anchor-signaling: use-caps-for-id: val-nsec3-keysize-iterations: val-permissive-mode: verbosity: "

// unfitWords begin lines of what Proxima has nothing to do with.
var unfitWords = map[string]string{
	"AUTOTRUST_FILE":      unfitState,
	"TSIG":                "TSIG",
	"TEMPFILE_NAME":       unfitTransfer,
	"TEMPFILE_CONTENTS":   unfitTransfer,
	"EXTRA_PACKET":        unfitTransfer,
	"EVAL":                "computed times",
	"ASSIGN":              "computed times",
	"CHECK_AUTOTRUST":     unfitState,
	"CHECK_TEMPFILE":      unfitTransfer,
	"INFRA_RTT":           "Unbound's memory of servers",
	"serial":              unfitTransfer,
	"nsid":                unfitIdentity,
	"increment_ecs_scope": unfitECS,

	"copy_ednsdata_assume_clientsubnet": unfitECS,
}

// Word says why a word, the first of a line or one of MATCH or ADJUST, makes a
// file unfit; nothing if it does not.
func Word(word string) (unfit string) { return unfitWords[word] }

// Record does so for a record of a section, or of a trust anchor.
func Record(rr dns.RR) (unfit string) {
	switch rr := rr.(type) {
	case *dns.RRSIG:
		return unfitKey(rr.Algorithm, nil)
	case *dns.DS:
		return unfitKey(rr.Algorithm, nil)
	case *dns.DNSKEY:
		key, _ := base64.StdEncoding.DecodeString(rr.PublicKey)
		return unfitKey(rr.Algorithm, key)
	}
	return ""
}

// unfitKey does so for an algorithm, and a key if there is one: zones with these
// are insecure to Proxima, and the files count on more.
func unfitKey(algorithm uint8, key []byte) string {
	switch algorithm {
	case dns.DSA, dns.DSANSEC3SHA1:
		return unfitDSA
	case dns.RSAMD5, dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		const exponent = 4 // octets of the usual one, with its length, RFC 3110 section 2
		if len(key) > exponent && (len(key)-exponent)*8 < minModulus {
			return "RSA keys below 1024 bits"
		}
	}
	return ""
}

// minModulus is the size, in bits, of the smallest RSA key that dnssec trusts.
const minModulus = 1024

// Question does so for what a client asks: names for which Proxima answers by
// itself, while the files have servers for them (RFC 6761 section 6.2 and RFC 6303
// section 4.1).
func Question(name string) (unfit string) {
	if dns.IsSubDomain("test.", name) || dns.IsSubDomain("10.in-addr.arpa.", name) {
		return "special names, which no server is asked for"
	}
	return ""
}
