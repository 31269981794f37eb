package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"proxima/cmd/internal/control"
	"proxima/resolver/record"
)

// told is an explanation whose walk had a question with an end of its own, and
// touched a limit twice.
func told(_ context.Context, q Question) (*record.Question, error) {
	if q.Name == "broken." {
		return nil, errors.New("the walk is broken")
	}
	at := time.Unix(0, 0)
	r := record.Begin(q.Name, dns.Type(q.Type).String(), func() time.Time { return at })
	below := r.Below("example.", "DNSKEY", "to prove")
	below.Struck("exchanges")
	below.Ended(record.End{Rcode: "NOERROR"})
	r.Struck("exchanges")
	at = at.Add(5 * time.Millisecond)
	code := uint16(9)
	r.Ended(record.End{Rcode: "SERVFAIL", Trust: "bogus", EDE: &code, Reason: "no key", Records: []string{"www.example.\t60\tIN\tCNAME\ta."}})
	return r, nil
}

// mustServe runs a daemon's control socket until the test ends.
func mustServe(t *testing.T, walk Walker) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control.sock")
	s, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	Answer(s, walk)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(zap.NewNop())
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return socket
}

// run executes the command with a daemon at socket.
func run(socket string, alone Walker, args ...string) (out, said string, err error) {
	var o, e strings.Builder
	c := Command(Host{
		Out: &o, Err: &e,
		Configure: func(string) (string, Walker, error) { return socket, alone, nil },
		Flag:      func(*cobra.Command, *string) {},
		Args:      cobra.RangeArgs(1, 2),
	})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	err = c.Execute()
	return o.String(), e.String(), err
}

const text = `www.example. A: SERVFAIL, bogus, EDE 9, no key, after 5ms
    www.example. 60 IN CNAME a.
limits touched: exchanges (2 times)

www.example. A  (asked)
  example. DNSKEY  (to prove)
`

func TestCommand_saysWhoExplains(t *testing.T) {
	daemon, none := mustServe(t, told), filepath.Join(t.TempDir(), "none")
	tests := []struct {
		name, socket string
		args         []string
		by           string // which is said first
		said         string // on the standard error
	}{
		{"the daemon", daemon, nil, fmt.Sprintf("explained by the daemon at %s (process %d), with what it knows\n", daemon, os.Getpid()), ""},
		{"nobody there", none, nil,
			"explained by this process alone, with an empty cache: control.socket: " + none + ": no daemon listens there\n",
			"control.socket: " + none + ": no daemon listens there; explaining alone, with an empty cache\n"},
		{"none configured", "", nil, "explained by this process alone, with an empty cache: control.socket is \"\": there is no daemon to ask\n", ""},
		{"none wanted", daemon, []string{"--alone"}, "explained by this process alone, with an empty cache: --alone was given\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, said, err := run(tt.socket, told, append([]string{"www.example"}, tt.args...)...)
			if err != nil || said != tt.said || !strings.HasPrefix(out, tt.by+text) {
				t.Errorf("error %v, said %q, printed\n%swant\n%s%s", err, said, out, tt.by, text)
			}
		})
	}
}

func TestCommand_printsJSON(t *testing.T) {
	socket := mustServe(t, told)
	out, _, err := run(socket, nil, "www.example", "--json")
	var e Explanation
	if err == nil {
		err = json.Unmarshal([]byte(out), &e)
	}
	if err != nil || e.By != (By{Daemon, os.Getpid(), socket, ""}) || e.Verdict.Rcode != "SERVFAIL" || *e.Verdict.EDE != 9 ||
		len(e.Limits) != 1 || e.Limits[0] != (record.Strike{Limit: "exchanges", Times: 2}) || e.Walk.Name != "www.example." {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCommand_refusesTheSameByBoth(t *testing.T) {
	socket := mustServe(t, told)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"www.example", "TYPE0"}, "explain: TYPE0 is no type of records: no server is asked for it"},
		{[]string{"www.example", "ANY"}, "explain: ANY is no type of records: no server is asked for it"},
		{[]string{"www.example", "axfr"}, "explain: AXFR is no type of records: no server is asked for it"},
		{[]string{"www.example", "TYPE65536"}, `explain: "TYPE65536" is no type: want one such as AAAA or TYPE65`},
		{[]string{"www.example", "65"}, `explain: "65" is no type: want one such as AAAA or TYPE65`},
		{[]string{"a..b"}, `explain: "a..b" is no name`},
		{[]string{""}, `explain: "" is no name`},
		{[]string{"broken"}, "the walk is broken"},
	} {
		for _, socket := range []string{socket, ""} {
			_, _, err := run(socket, told, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q with socket %q: error %v, want %q", tt.args, socket, err, tt.want)
			}
		}
	}
}

func TestCommand_asksForTheSameTypeByBoth(t *testing.T) {
	var got []uint16
	walk := func(ctx context.Context, q Question) (*record.Question, error) {
		got = append(got, q.Type)
		return told(ctx, q)
	}
	socket := mustServe(t, walk)
	for _, typ := range []string{"aaaa", "TYPE28", "TYPE65535", "RRSIG", "TYPE65280"} {
		for _, socket := range []string{socket, ""} {
			if _, _, err := run(socket, walk, "www.example", typ); err != nil {
				t.Errorf("%s with socket %q: %v", typ, socket, err)
			}
		}
		if n := len(got); got[n-1] != got[n-2] {
			t.Errorf("%s is %d to the daemon and %d alone", typ, got[n-2], got[n-1])
		}
	}
}

func TestCommand_endsIfTheDaemonIsStopped(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s")) // takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, _, err := run(l.Addr().String(), told, "www.example")
	want := fmt.Sprintf("the daemon does not answer: process %d at %s has said nothing for 3s: it is stopped, or hangs; --alone explains without it",
		os.Getpid(), l.Addr())
	if err == nil || err.Error() != want || out != "" {
		t.Errorf("error %v, printed %q; want %q", err, out, want)
	}
}
