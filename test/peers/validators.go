//go:build linux

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/internet"
)

// realAnchor is the real root's key of 2017.
const realAnchor = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"

// A trust is what a validator has to be told.
type trust struct {
	anchor string    // the root's DS record; or realAnchor
	hints  string    // a file; "" for the real root servers
	at     time.Time // when signatures are judged; zero for now
	// aggressive asks for answers out of known denials.
	aggressive bool
}

// startValidatingUnbound starts Unbound as it comes, but for aggressive use of
// denials, RFC 8198: with it, what a zone with contradictions says depends on
// what was asked before.
func (b *bench) startValidatingUnbound(at netip.AddrPort, t trust) error {
	conf := fmt.Sprintf(`server:
 interface: %s@%d
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 num-threads: 1
 module-config: "validator iterator"
 trust-anchor: %q
 aggressive-nsec: %s
 minimal-responses: yes
 val-log-level: 2
`, at.Addr(), at.Port(), b.dir, t.anchor, yesNo(t.aggressive))
	if t.hints != "" {
		conf += fmt.Sprintf(" root-hints: %q\n", t.hints)
	}
	if !t.at.IsZero() {
		conf += fmt.Sprintf(" val-override-date: %q\n", date(t.at))
	}
	conf += "remote-control:\n control-enable: no\n"
	return b.startValidator("unbound", at, conf, func(file string) *exec.Cmd {
		return exec.Command("unbound", "-d", "-c", file)
	})
}

// startKnot starts Knot Resolver as it comes. It cannot be told a date, nor
// to refrain from aggressive use of denials.
func (b *bench) startKnot(at netip.AddrPort, t trust) error {
	dir := filepath.Join(b.dir, "knot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var addrs []string
	for _, a := range tierAddrs(0) {
		addrs = append(addrs, fmt.Sprintf("'%s'", a))
	}
	conf := fmt.Sprintf(`log_target('stderr')
net.listen('%s', %d, { kind = 'dns' })
rawset(cache, 'current_storage', 'lmdb://%s/cache')
cache.size = 100 * MB
modules.unload('ta_update')
modules.unload('detect_time_skew')
modules.load('hints > iterate')
hints.root({ ['%s'] = { %s } })
trust_anchors.remove('.')
trust_anchors.add('%s')
`, at.Addr(), at.Port(), dir, tierServer(0), strings.Join(addrs, ", "), t.anchor)
	return b.startValidator("knot", at, conf, func(file string) *exec.Cmd {
		return exec.Command("kresd", "-n", "-c", file, dir)
	})
}

// startValidatingProxima builds and starts Proxima.
func (b *bench) startValidatingProxima(ctx context.Context, at netip.AddrPort, t trust) error {
	program := filepath.Join(b.dir, "proxima")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	// SHA-1 as the peers have it.
	conf := fmt.Sprintf("listen: {addresses: [%s], port: %d}\nadmin: {listen: \"\"}\nhealth: {recursion: {targets: []}, validation: {good: [], bogus: []}}\ndnssec:\n  sha1: validate\n  aggressive: %t\n", at.Addr(), at.Port(), t.aggressive)
	if t.anchor != realAnchor { // which is built in
		conf += fmt.Sprintf("  trust_anchors: [%q]\n", t.anchor)
	}
	if !t.at.IsZero() {
		conf += fmt.Sprintf("  validation_time: %s\n", t.at.UTC().Format(time.RFC3339))
	}
	if t.hints != "" {
		conf += fmt.Sprintf("recursion: {root_hints: %q}\n", t.hints)
	}
	file := filepath.Join(b.dir, "proxima.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "check", "-c", file).CombinedOutput(); err != nil {
		return fmt.Errorf("proxima check: %w\n%s", err, out)
	}
	return b.startValidator("proxima", at, conf, func(file string) *exec.Cmd {
		return exec.Command(program, "serve", "-c", file)
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (b *bench) startValidator(name string, at netip.AddrPort, conf string, command func(file string) *exec.Cmd) error {
	file := filepath.Join(b.dir, name+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	if _, err := internet.Start(b.resolver, b.dir, name, command(file)); err != nil {
		return err
	}
	return internet.Await(b.resolver, at, ".")
}

// A verdict is what a validator says, less what may differ: the order of
// records, TTLs and signatures.
type verdict struct {
	rcode   string
	secure  bool // AD
	records string
}

func (v verdict) String() string { return v.short() + " " + v.records }

// short is the verdict without the records.
func (v verdict) short() string {
	if v.secure {
		return v.rcode + " AD"
	}
	return v.rcode + " --"
}

// status is what the verdict says of the chain of trust.
func (v verdict) status() string {
	switch {
	case v.rcode == "SERVFAIL":
		return "bogus"
	case v.secure:
		return "secure"
	}
	return "insecure"
}

// The pause before a question is put again outlasts the first memory of a failure
// of a lookup: 5 s with all three, RFC 9520 section 3.2.
const (
	tries = 3
	pause = 6 * time.Second
)

// insist asks like judge, and again as long as what is said is not fit: servers
// and resolvers may have stood still until a lookup was out of time.
func (b *bench) insist(server netip.AddrPort, question dns.Question, fit func(verdict) bool) (v verdict) {
	for try := 1; ; try++ {
		if v = b.judge(server, question, false); fit(v) || try == tries {
			return v
		}
		time.Sleep(pause)
	}
}

// judge asks one validator one question, with DO, and with CD if the answer
// need not be checked.
func (b *bench) judge(server netip.AddrPort, question dns.Question, unchecked bool) verdict {
	q := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	q.SetEdns0(1232, true)
	q.CheckingDisabled = unchecked
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := internet.Exchange(ctx, b.resolver, server, q)
	if err != nil {
		return verdict{rcode: "no answer: " + err.Error()}
	}
	var records []string
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			continue
		}
		rr.Header().Ttl = 0
		records = append(records, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(records)
	if m.Rcode == dns.RcodeServerFailure {
		records = nil // Knot Resolver sends what it does not believe
	}
	return verdict{dns.RcodeToString[m.Rcode], m.AuthenticatedData, strings.Join(records, "; ")}
}
