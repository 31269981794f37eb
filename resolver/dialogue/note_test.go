package dialogue

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"proxima/resolver/record"

	"github.com/miekg/dns"
)

func TestQuestion_notesAnErrorWithoutWhatStandsBeforeIt(t *testing.T) {
	to := netip.MustParseAddrPort("192.0.2.1:53")
	q := Question{Question: dns.Question{Name: "example.", Qtype: 65535}, Note: record.Begin("example.", "A", time.Now)}
	q.note(to, way{}, 0, nil, errors.New("upstream: 192.0.2.1:53: connect: network is unreachable"))
	if e := q.Note.Steps[0].Exchange; e.Reply != "connect: network is unreachable" || e.Type != "TYPE65535" {
		t.Errorf("noted %+v", e)
	}
}
