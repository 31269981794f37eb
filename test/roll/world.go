//go:build linux

package roll

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// A world is the internet and the host of the resolvers, with a time that is
// theirs alone.
type world struct {
	*internet
	net       *netns.Net
	here, far *netns.Host // the resolvers'; the internet's
	dir       string
	nsd       []*netns.Program
	moved     time.Time // when the resolvers' clocks were, by the system's
}

// newWorld lays the net. Nothing is served before the first day.
func newWorld(ctx context.Context, dir string) (*world, error) {
	n, err := newInternet(ctx, dir)
	if err != nil {
		return nil, err
	}
	w := &world{internet: n, net: netns.New(), dir: dir}
	if err := errors.Join(w.lay(), w.setClock(0)); err != nil {
		w.net.Close()
		return nil, err
	}
	return w, nil
}

func (w *world) lay() (err error) {
	if w.here, err = w.net.Host("resolvers"); err != nil {
		return err
	}
	if w.far, err = w.net.Host("internet"); err != nil {
		return err
	}
	if err := w.net.Link(w.far, "wire", w.here, "wire"); err != nil {
		return err
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		far := netip.MustParsePrefix([]string{"192.0.2.1/30", "2001:db8:ff::1/64"}[i])
		here := netip.MustParsePrefix([]string{"192.0.2.2/30", "2001:db8:ff::2/64"}[i])
		if err := errors.Join(w.far.Addr("wire", far), w.here.Addr("wire", here), w.here.Route(netip.MustParsePrefix(all), far.Addr())); err != nil {
			return err
		}
	}
	return nil
}

// setClock moves the clocks of all resolvers by an offset from the system's.
func (w *world) setClock(offset time.Duration) error {
	file := w.clockFile()
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "+%d\n", int64(offset/time.Second)), 0o644); err != nil {
		return err
	}
	const tick = 10 * time.Millisecond // by which a file's time may be behind
	w.moved = time.Now().Add(-tick)
	return os.Rename(file+".new", file)
}

func (w *world) clockFile() string { return filepath.Join(w.dir, "offset") }

// publish serves the zones as they are then, and moves the clocks there.
func (w *world) publish(ctx context.Context, offset time.Duration) error {
	for _, t := range w.tiers {
		if err := os.MkdirAll(filepath.Join(w.dir, "nsd-"+t.name), 0o755); err != nil {
			return err
		}
	}
	if err := w.sign(ctx, w.dir, time.Now().Add(offset)); err != nil {
		return err
	}
	for try := 1; ; try++ { // a signal that comes while a server reads is lost
		if err := w.serve(); err != nil {
			return err
		}
		err := w.awaitSerials()
		if err == nil {
			return w.setClock(offset)
		}
		if try == tries {
			return err
		}
	}
}

// awaitSerials returns when all servers have the newest versions.
func (w *world) awaitSerials() error {
	for _, t := range w.tiers {
		for _, z := range t.zones {
			if err := w.awaitSerial(netip.AddrPortFrom(t.addrs[0], 53), z.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve starts the servers, or has them read their zones again.
func (w *world) serve() error {
	if w.nsd != nil {
		for _, p := range w.nsd {
			if err := p.Process.Signal(syscall.SIGHUP); err != nil {
				return err
			}
		}
		return nil
	}
	for _, t := range w.tiers {
		dir := filepath.Join(w.dir, "nsd-"+t.name)
		var conf strings.Builder
		fmt.Fprintf(&conf, "server:\n username: \"\"\n zonesdir: %q\n pidfile: \"\"\n database: \"\"\n xfrdfile: \"\"\n zonelistfile: %q\n xfrdir: %q\n server-count: 1\n rrl-ratelimit: 0\n port: 53\n",
			dir, filepath.Join(dir, "list"), dir)
		for _, a := range t.addrs {
			if err := w.far.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
				return err
			}
			fmt.Fprintf(&conf, " ip-address: %s\n", a)
		}
		conf.WriteString("remote-control:\n control-enable: no\n")
		for _, z := range t.zones {
			fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n", z.name, zoneFile(z.name))
		}
		file := filepath.Join(dir, "nsd.conf")
		if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
			return err
		}
		p, err := w.start(w.far, "nsd-"+t.name, exec.Command("nsd", "-d", "-c", file))
		if err != nil {
			return err
		}
		w.nsd = append(w.nsd, p)
	}
	return nil
}

// start starts a program whose output goes to a log.
func (w *world) start(h *netns.Host, name string, cmd *exec.Cmd) (*netns.Program, error) {
	log, err := os.OpenFile(w.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return h.Start(cmd)
}

func (w *world) logFile(name string) string { return filepath.Join(w.dir, name+".log") }

// patience bounds every wait for something that takes a moment, or a few where
// the machine has other work to do.
const patience = time.Minute

// tries is how often is tried what a machine may spoil that stands still a moment.
const tries = 3

// await returns when a condition holds.
func await(what string, holds func() bool) error {
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s", patience, what)
		}
	}
	return nil
}

// awaitSerial returns when a server has the zone's newest version.
func (w *world) awaitSerial(server netip.AddrPort, zone string) error {
	return await(fmt.Sprintf("%s serves version %d of %s", server, w.serial, zone), func() bool {
		m, err := w.exchange(w.far, server, dns.Question{Name: zone, Qtype: dns.TypeSOA, Qclass: dns.ClassINET})
		if err != nil || len(m.Answer) == 0 {
			return false
		}
		soa, ok := m.Answer[0].(*dns.SOA)
		return ok && int(soa.Serial) == w.serial
	})
}

// exchange asks a server over UDP, and over TCP if the answer was cut.
func (w *world) exchange(from *netns.Host, server netip.AddrPort, question dns.Question) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	q.SetEdns0(1232, true)
	for _, network := range []string{"udp", "tcp"} {
		m, err := exchangeOver(from, network, server, q)
		if err != nil || !m.Truncated {
			return m, err
		}
	}
	return nil, fmt.Errorf("%s: truncated over TCP", server)
}

func exchangeOver(from *netns.Host, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := from.Dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	c := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// A verdict is what a resolver says, less what may differ: the order of
// records, TTLs and signatures.
type verdict struct {
	rcode   string
	secure  bool // AD
	records string
	ede     []uint16 // not compared: each resolver has its own reasons
}

func (v verdict) String() string {
	ad := "--"
	if v.secure {
		ad = "AD"
	}
	return fmt.Sprint(v.rcode, " ", ad, " ", v.records)
}

// insist asks, and again as long as what is said is not fit: a lookup may have
// been out of time, which all remember for 5 s, RFC 9520 section 3.2.
func (w *world) insist(server netip.AddrPort, q dns.Question, fit func(verdict) bool) (v verdict) {
	const pause = 6 * time.Second
	for try := 1; ; try++ {
		if v = w.ask(server, q); fit(v) || try == tries {
			return v
		}
		time.Sleep(pause)
	}
}

// ask asks a resolver one question, with DO.
func (w *world) ask(server netip.AddrPort, q dns.Question) verdict {
	m, err := w.exchange(w.here, server, q)
	if err != nil {
		return verdict{rcode: "no answer: " + err.Error()}
	}
	v := verdict{rcode: dns.RcodeToString[m.Rcode], secure: m.AuthenticatedData}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				v.ede = append(v.ede, ede.InfoCode)
			}
		}
	}
	if m.Rcode == dns.RcodeServerFailure {
		return v // Knot Resolver sends what it does not believe
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
	v.records = strings.Join(records, "; ")
	return v
}

// logs returns the end of each program's log.
func (w *world) logs() string {
	var b strings.Builder
	files, _ := filepath.Glob(w.logFile("*"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && len(text) > 0 {
			fmt.Fprintf(&b, "\n--- %s\n%s", filepath.Base(f), text[max(0, len(text)-2000):])
		}
	}
	return b.String()
}
