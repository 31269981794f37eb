//go:build linux

package internet

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
)

// A result is how a contender did.
type result struct {
	title    string
	replies  []reply
	correct  int
	servfail int
	silent   int // no reply
	wrong    int // any other answer that is not the truth
	packets  int64
	cpu      time.Duration
	elapsed  time.Duration
}

// serviceAddr is where each contender listens in its turn.
var serviceAddr = netip.MustParseAddrPort("127.0.0.1:5300")

// run starts a contender cold, asks it everything, and ends it.
func (w *world) run(c contender, questions []dns.Question) (*result, error) {
	dir, err := os.MkdirTemp(w.dir, "race")
	if err != nil {
		return nil, err
	}
	p, err := c.start(w.resolver, serviceAddr, w.hints, dir)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	r := &result{title: c.title()}
	packets, cpu, began := w.distance.sent.Load(), cpuTime(p.Process.Pid), time.Now()
	if r.replies, err = askAll(w.resolver, serviceAddr, questions); err != nil {
		return nil, err
	}
	r.packets, r.cpu, r.elapsed = w.distance.sent.Load()-packets, cpuTime(p.Process.Pid)-cpu, time.Since(began)
	for i, q := range questions {
		switch got := r.replies[i].Answer; {
		case got == w.model.Truth(q):
			r.correct++
		case got.Rcode == "SERVFAIL":
			r.servfail++
		case got.Rcode == noReply:
			r.silent++
		default:
			r.wrong++
		}
	}
	return r, nil
}

// failures says which questions a contender failed, by the class of the way to
// their answers, and gives an example of each.
func (w *world) failures(r *result, questions []dns.Question) string {
	count, example := map[string]int{}, map[string]string{}
	for i, q := range questions {
		got := r.replies[i].Answer
		want := w.model.Truth(q)
		if got == want {
			continue
		}
		class := got.Rcode + ": " + w.model.Class(q)
		count[class]++
		example[class] = fmt.Sprintf("%s %s = %s after %d ms, want %s", q.Name, dns.TypeToString[q.Qtype], got, r.replies[i].took.Milliseconds(), want)
	}
	return listed(count, example)
}

// differences compares what two contenders said. It says how often they differ
// in rcode or answers, in how many of these ours is not the truth, and why: who
// of them did not get through, and what is special about the way to the answer.
func (w *world) differences(ours, theirs *result, questions []dns.Question) (all, mistaken int, why string) {
	count, example := map[string]int{}, map[string]string{}
	for i, q := range questions {
		a, b, want := ours.replies[i].Answer, theirs.replies[i].Answer, w.model.Truth(q)
		if a == b {
			continue
		}
		all++
		var said []string
		for _, who := range []*result{ours, theirs} {
			if got := who.replies[i].Answer; got != want {
				said = append(said, who.title+" said "+got.Rcode)
			}
		}
		if a != want {
			mistaken++
		}
		class := strings.Join(said, ", ") + ": " + w.model.Class(q)
		count[class]++
		example[class] = fmt.Sprintf("%s %s: %s / %s", q.Name, dns.TypeToString[q.Qtype], a, b)
	}
	return all, mistaken, listed(count, example)
}

// listed writes counts, the greatest first.
func listed(count map[string]int, example map[string]string) string {
	var classes []string
	for class := range count {
		classes = append(classes, class)
	}
	slices.SortFunc(classes, func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, class := range classes {
		fmt.Fprintf(&b, "%6d  %s\n        such as %s\n", count[class], class, example[class])
	}
	return b.String()
}

// table writes results side by side.
func table(results []*result) string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "resolver\tcorrect\tSERVFAIL\tno reply\twrong\tmedian ms\tp95 ms\tpackets per answer\tCPU s\telapsed s\t")
	for _, r := range results {
		took := make([]time.Duration, len(r.replies))
		for i := range took {
			took[i] = r.replies[i].took
		}
		slices.Sort(took)
		n := len(took)
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t\n", r.title, r.correct, r.servfail, r.silent,
			r.wrong, ms(took[n/2]), ms(took[n*95/100]), float64(r.packets)/float64(n), r.cpu.Seconds(), r.elapsed.Seconds())
	}
	_ = t.Flush()
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cpuTime returns what a process has used of the processors, proc(5).
func cpuTime(pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all common machines
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses that may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}
