package record

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// mustText returns what people read.
func mustText(t *testing.T, q *Question) string {
	t.Helper()
	var b strings.Builder
	if err := q.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// example is a tree with a step of each kind, one every 10 ms.
func example() *Question {
	at := time.Unix(0, 0)
	q := Begin("www.example.", "A", func() time.Time {
		at = at.Add(10 * time.Millisecond)
		return at
	})
	q.Recalled(Recall{Name: "www.example.", Type: "A", What: "stale answer"})
	q.Reached(Cut{Zone: "example.", From: "referral", Servers: 2, Trust: "secure", Left: time.Hour})
	below := q.Below("ns.test.", "A", "address of a server of example.")
	below.Struck("nesting")
	code := uint16(22)
	below.Ended(End{Rcode: "SERVFAIL", EDE: &code, Reason: "no server"})
	q.Asked(Exchange{To: netip.MustParseAddrPort("192.0.2.1:53"), Name: "www.example.", Type: "A", Transport: "tcp", RTT: 12 * time.Millisecond, Reply: "NOERROR"})
	q.Judged("answer")
	q.Ended(End{Rcode: "NOERROR", Trust: "secure", Records: []string{"www.example.\t60\tIN\tA\t192.0.2.80"}})
	return q
}

const exampleText = `www.example. A  (asked)
     10ms  known    www.example. A: stale answer
     20ms  zone     example. (referral), 2 servers, 0 addresses known, secure, lease 1h0m0s
  ns.test. A  (address of a server of example.)
       40ms  limit    nesting
       50ms  end      SERVFAIL, EDE 22, no server, after 20ms
     60ms  ask      192.0.2.1:53 www.example. A over tcp without EDNS: NOERROR, 12ms
     70ms    worth  answer
     80ms  end      NOERROR, secure, after 80ms
                    www.example. 60 IN A 192.0.2.80
`

func TestQuestion_WriteText(t *testing.T) {
	if got := mustText(t, example()); got != exampleText {
		t.Errorf("got\n%swant\n%s", got, exampleText)
	}
}

func TestQuestion_Limits(t *testing.T) {
	q := example()
	if got := q.Limits(); !slices.Equal(got, []Strike{{"nesting", 1}}) {
		t.Errorf("limits %v", got)
	}
	q = Begin("example.", "A", time.Now)
	if got := q.Limits(); got == nil || len(got) != 0 {
		t.Errorf("of nothing %#v, want an empty list for JSON", got)
	}
	q.Struck("exchanges")
	q.Below("ns.example.", "A", "server").Struck("exchanges")
	q.Struck("nesting")
	if got := q.Limits(); !slices.Equal(got, []Strike{{"exchanges", 2}, {"nesting", 1}}) {
		t.Errorf("limits %v", got)
	}
}

func TestQuestion_survivesJSON(t *testing.T) {
	text, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var q Question
	if err := json.Unmarshal(text, &q); err != nil {
		t.Fatal(err)
	}
	if got := mustText(t, &q); got != exampleText {
		t.Errorf("got\n%swant\n%s", got, exampleText)
	}
}

func TestQuestion_isNothingIfNobodyAsks(t *testing.T) {
	var q *Question
	below := q.Below("example.", "A", "none")
	below.Struck("nesting")
	below.Ended(End{})
	if below != nil {
		t.Error("something is kept")
	}
}

func TestQuestion_keepsSoMuchAndNoMore(t *testing.T) {
	q := Begin("example.", "A", time.Now)
	for range 2 * maxSteps {
		q.Judged("lame")
	}
	if n := len(q.Steps); n != maxSteps || !q.Steps[n-1].Cropped {
		t.Errorf("%d steps, want %d, the last of which says so", n, maxSteps)
	}
	if !strings.Contains(mustText(t, q), "there was more") {
		t.Error("people are not told")
	}
}
