package localroot

import (
	"strings"
	"testing"
	"time"

	"proxima/resolver/dnssec"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// rootText is a root with a signed and an unsigned delegation, one below an
// empty name, glue of its own and of others, and a type that nobody knows.
const rootText = `
@ 86400 SOA a.root-servers.test. hostmaster.test. 100 1800 900 604800 86400
@ NS a.root-servers.test.
@ NS b.root-servers.test.
@ TYPE65280 \# 4 0a000001
test. NS a.root-servers.test.
test. DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
a.root-servers.test. A 192.0.2.1
a.root-servers.test. AAAA 2001:db8::1
b.root-servers.test. A 192.0.2.2
example. NS ns.example.
example. NS ns.test.
ns.example. A 192.0.2.3
deep.down. NS ns.example.
own. TXT "data of the root itself"
`

// mustSign returns the records of a signed root with this text, and its anchor.
func mustSign(t testing.TB, text string, digest bool) ([]dns.RR, []*dns.DS) {
	t.Helper()
	n := sim.New(1)
	root := n.Zone(".", text)
	root.Sign()
	return root.Whole(digest), []*dns.DS{n.Anchor()}
}

// mustZone returns that root as a zone.
func mustZone(t testing.TB, text string) (*Zone, []*dns.DS) {
	t.Helper()
	rrs, anchors := mustSign(t, text, true)
	z, err := New(rrs)
	if err != nil {
		t.Fatal(err)
	}
	return z, anchors
}

// textOf writes records as a master file.
func textOf(rrs []dns.RR) string {
	var b strings.Builder
	for _, rr := range rrs {
		b.WriteString(rr.String() + "\n")
	}
	return b.String()
}

// rules are the default.
var rules dnssec.Rules

// now is the time for which zones made here are signed.
func now() time.Time { return time.Now() }

// question asks for a type of the name, in class IN.
func question(name string, typ uint16) dns.Question {
	return dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET}
}
