package upstream

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"proxima/clock"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
)

// Lengths of cookies, RFC 7873 section 4, in hexadecimal digits as miekg/dns
// gives them.
const (
	clientDigits = 2 * 8
	minDigits    = clientDigits + 2*8 // with the server's part
	maxDigits    = clientDigits + 2*32
)

const (
	// maxCookies is how many servers' cookies are remembered, the least used
	// forgotten first. 16,384, some 4 MiB: more servers than a node asks within
	// an hour and that give cookies. Who floods it makes us ask a server once
	// more at most.
	maxCookies = 16_384

	// cookieLife is how long a server's cookie is used, and its absence found
	// suspicious. An hour, after which servers refuse it: RFC 9018 section 4.3. So
	// a server that gave up cookies, and has no TCP, is lost for no longer.
	cookieLife = time.Hour
)

// A cookie is what goes along with a query, RFC 7873, in hexadecimal digits.
type cookie struct {
	client string // ours: random, and never shown to another server, RFC 9018 section 3
	server string // what this server added to it; empty if it is not known to
	again  bool   // server came with BADCOOKIE, which said to ask again with it
	at     time.Time
}

// A jar remembers the cookies of servers. It may be used by many goroutines.
type jar struct {
	known *lru.Cache[netip.AddrPort, cookie] // each with a server's part
}

func newJar() jar {
	known, err := lru.New[netip.AddrPort, cookie](maxCookies)
	if err != nil {
		panic("upstream: " + err.Error()) // only for a size below 1
	}
	return jar{known}
}

// take returns the cookie for a query to the server.
func (j jar) take(to netip.AddrPort) *cookie {
	if k, ok := j.known.Get(to); ok && clock.Since(k.at) < cookieLife {
		return &k
	}
	var client [clientDigits / 2]byte
	_, _ = rand.Read(client[:]) // never fails
	return &cookie{client: hex.EncodeToString(client[:])}
}

// taste compares the cookie of m, the reply to q, with that of q and learns the
// server's part of it. A reply whose cookie is not ours is forged, so a server
// that is known to return ours and now does not is suspected, as is one that
// goes on with BADCOOKIE. What came over TCP is believed: without a cookie, the
// server has given them up.
func (j jar) taste(to netip.AddrPort, q *query, m *dns.Msg) verdict {
	if q.cookie == nil || m.Truncated { // without records, or to be asked for again
		return refusal(q, m)
	}
	k, found := cookieIn(m)
	server, ours := strings.CutPrefix(k, q.cookie.client)
	switch {
	case found && (!ours || server != "" && len(k) < minDigits || len(k) > maxDigits):
		if !q.stream {
			return wrongCookie
		}
	case server != "":
		again := m.Rcode == dns.RcodeBadCookie
		j.known.Add(to, cookie{client: q.cookie.client, server: server, again: again, at: clock.Now()})
		if again && !q.cookie.again {
			return genuine
		}
	case found: // ours as it was: a server that repeats what it does not know
	case q.stream:
		j.known.Remove(to)
	case q.cookie.server != "":
		return noCookie
	}
	return refusal(q, m)
}

// refusal is the verdict on a reply from which nothing was learned that could
// make the next one better: over UDP, BADCOOKIE would come for ever (CVE-2026-5950).
func refusal(q *query, m *dns.Msg) verdict {
	if m.Rcode == dns.RcodeBadCookie && !q.stream {
		return noCookie
	}
	return genuine
}

// cookieIn returns the first cookie of a message, RFC 7873 section 5.
func cookieIn(m *dns.Msg) (digits string, ok bool) {
	opt := m.IsEdns0()
	if opt == nil {
		return "", false
	}
	for _, o := range opt.Option {
		if k, ok := o.(*dns.EDNS0_COOKIE); ok {
			return k.Cookie, true
		}
	}
	return "", false
}

// putCookie makes k the one cookie of m, which may have come with another's: a
// client's is no server's business. A message without OPT record gets none.
func putCookie(m *dns.Msg, k *cookie) (put bool) {
	opt := m.IsEdns0()
	if opt == nil {
		return false
	}
	var options []dns.EDNS0
	for _, o := range opt.Option {
		if o.Option() != dns.EDNS0COOKIE {
			options = append(options, o)
		}
	}
	if k != nil {
		options = append(options, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: k.client + k.server})
	}
	opt.Option = options
	return k != nil
}
