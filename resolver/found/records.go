package found

import (
	"slices"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/wire"

	"github.com/miekg/dns"
)

// Records are what was found out about one question.
type Records struct {
	Rcode     int
	Answer    []dns.RR
	Authority []dns.RR
	Status    dnssec.Status // the least of all parts
	Why       *wire.EDE     // why it is not more, if clients are told
	Until     time.Time     // to be forgotten then, whatever TTLs say; zero: never
}

// Append adds what was found at the end of an alias. What is proven of a chain
// is what is proven of all of it.
func (r *Records) Append(rest *Records) {
	r.Rcode = rest.Rcode
	r.Answer = append(slices.Clip(r.Answer), rest.Answer...)
	r.Authority = append(slices.Clip(r.Authority), rest.Authority...)
	if rest.Status != dnssec.Secure {
		r.Status = dnssec.Insecure
	}
	if r.Why == nil {
		r.Why = rest.Why
	}
	r.Until = clock.Sooner(r.Until, rest.Until)
}
