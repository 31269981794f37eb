//go:build linux

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/internet"
	"proxima/test/netns"
)

const (
	// namesAsked is how many of the listed names get a zone and are asked for.
	namesAsked = 1000
	// askers is how many questions are under way at once.
	askers = 16
)

func TestProxima_answersAsUnboundDoes(t *testing.T) {
	b := mustBench(t, namesAsked)
	proxima, unbound := netip.MustParseAddrPort("127.0.0.1:5300"), netip.MustParseAddrPort("127.0.0.2:5301")
	if err := b.startUnbound(unbound); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	if err := b.startProxima(t.Context(), proxima); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	questions := b.questions()
	ours, theirs := b.askAll(t, proxima, questions), b.askAll(t, unbound, questions)
	b.settle(t, questions, []netip.AddrPort{proxima, unbound}, ours, theirs)
	differ, answered, peerFailed := 0, 0, 0
	for i, q := range questions {
		if ours[i] != theirs[i] {
			if failed(theirs[i]) && !failed(ours[i]) { // it may be right, and we are not wrong
				peerFailed++
				t.Logf("%s %s:\nproxima %s\nunbound %s", q.Name, dns.TypeToString[q.Qtype], ours[i], theirs[i])
				continue
			}
			if differ++; differ <= 20 {
				t.Errorf("%s %s:\nproxima %s\nunbound %s", q.Name, dns.TypeToString[q.Qtype], ours[i], theirs[i])
			}
		}
		if strings.HasPrefix(ours[i], "NOERROR") {
			answered++
		}
	}
	t.Logf("%d questions, %d answered NOERROR, %d differences, and Unbound failed %d", len(questions), answered, differ, peerFailed)
	if answered < len(questions)*2/3 {
		t.Errorf("only %d of %d questions have an answer: the model is broken", answered, len(questions))
	}
}

// failed reports whether there was no answer.
func failed(said string) bool {
	return strings.HasPrefix(said, "no answer") || strings.HasPrefix(said, "SERVFAIL")
}

// settle asks again where two differ: either may have run out of time, as
// everything here shares a machine.
func (b *bed) settle(t *testing.T, questions []dns.Question, servers []netip.AddrPort, said ...[]string) {
	t.Helper()
	for range tries {
		var differ []int
		for i := range questions {
			if said[0][i] != said[1][i] {
				differ = append(differ, i)
			}
		}
		if len(differ) == 0 {
			return
		}
		t.Logf("%d questions are put again", len(differ))
		time.Sleep(pause)
		for _, i := range differ {
			for n, server := range servers {
				said[n][i] = b.say(server, questions[i])
			}
		}
	}
}

// A bed is a bench with the model that is served on it.
type bed struct {
	*bench
	model *model
	names []string
}

// mustBench starts the model Internet, or skips where something is missing.
func mustBench(t *testing.T, names int) *bed {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range []string{"nsd", "unbound"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, "is not installed")
		}
	}
	data, err := internet.FindData()
	if err != nil {
		t.Skip(err)
	}
	m, err := newModel(data, names)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b, err := newBench(m, dir)
	if err != nil {
		t.Fatal(err, internet.Logs(dir))
	}
	t.Cleanup(b.net.Close)
	return &bed{bench: b, model: m, names: m.names}
}

// questions are A, AAAA, MX, NS and TXT of each name, its www and a name that
// does not exist.
func (b *bed) questions() []dns.Question {
	var all []dns.Question
	for _, name := range b.names {
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeNS, dns.TypeTXT} {
			all = append(all, dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET})
		}
		all = append(all,
			dns.Question{Name: "www." + name, Qtype: dns.TypeA, Qclass: dns.ClassINET},
			dns.Question{Name: "does-not-exist." + name, Qtype: dns.TypeA, Qclass: dns.ClassINET})
	}
	return all
}

// askAll returns what a resolver says to each question: rcode and answer
// section, sorted, without TTLs.
func (b *bed) askAll(t *testing.T, server netip.AddrPort, questions []dns.Question) []string {
	t.Helper()
	began := time.Now()
	answers := make([]string, len(questions))
	next := make(chan int)
	var wait sync.WaitGroup
	for range askers {
		wait.Go(func() {
			for i := range next {
				answers[i] = b.say(server, questions[i])
			}
		})
	}
	for i := range questions {
		next <- i
	}
	close(next)
	wait.Wait()
	t.Logf("%s answered %d questions in %.1f s", server, len(questions), time.Since(began).Seconds())
	return answers
}

func (b *bed) say(server netip.AddrPort, question dns.Question) string {
	q := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	q.SetEdns0(1232, false)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, err := internet.Exchange(ctx, b.resolver, server, q)
	if err != nil {
		return "no answer: " + err.Error()
	}
	var records []string
	for _, rr := range m.Answer {
		rr.Header().Ttl = 0
		records = append(records, rr.String())
	}
	slices.Sort(records)
	return fmt.Sprint(dns.RcodeToString[m.Rcode], records)
}
