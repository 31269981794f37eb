//go:build linux

package internet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// A Tier is what one NSD serves: zones, as text by name, and the addresses on
// which it serves all of them. Parents and children live in different tiers,
// so that a parent answers with referrals.
type Tier struct {
	Name  string
	Zones map[string]*strings.Builder
	Addrs []netip.Addr

	program *netns.Program // set by Serve
}

// NewTier returns a tier without zones.
func NewTier(name string) *Tier {
	return &Tier{Name: name, Zones: map[string]*strings.Builder{}}
}

// patience is how long a program may take until it answers: NSD reads twenty
// thousand zones within a few seconds, unless the machine is busy.
const patience = 2 * time.Minute

// Kill ends what Serve started. The tier may be served again.
func (t *Tier) Kill() { t.program.Kill() }

// Serve starts NSD for the tier on a host, which gets the addresses, and waits
// until it answers. Anybody may copy its zones. Its files and its log are in dir.
func (t *Tier) Serve(h *netns.Host, dir string) error {
	zones := filepath.Join(dir, "nsd-"+t.Name)
	if err := os.MkdirAll(zones, 0o755); err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n username: \"\"\n zonesdir: %q\n pidfile: \"\"\n database: \"\"\n xfrdfile: \"\"\n zonelistfile: %q\n xfrdir: %q\n server-count: 1\n rrl-ratelimit: 0\n port: 53\n",
		zones, filepath.Join(zones, "list"), zones)
	for _, a := range t.Addrs {
		if err := h.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
		fmt.Fprintf(&conf, " ip-address: %s\n", a)
	}
	conf.WriteString("remote-control:\n control-enable: no\n")
	for zone, text := range t.Zones {
		file := "zone-" + strings.ReplaceAll(zone, "/", "_")
		if err := os.WriteFile(filepath.Join(zones, file), []byte(text.String()), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n provide-xfr: 0.0.0.0/0 NOKEY\n provide-xfr: ::/0 NOKEY\n", zone, file)
	}
	file := filepath.Join(zones, "nsd.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
		return err
	}
	var err error
	if t.program, err = Start(h, dir, "nsd-"+t.Name, exec.Command("nsd", "-d", "-c", file)); err != nil {
		return err
	}
	for zone := range t.Zones {
		return Await(h, netip.AddrPortFrom(t.Addrs[0], 53), zone)
	}
	return nil
}

// Start starts a program on a host, with its output in name.log in dir.
func Start(h *netns.Host, dir, name string, cmd *exec.Cmd) (*netns.Program, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return h.Start(cmd)
}

// Logs returns the end of each log in dir.
func Logs(dir string) string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && len(text) > 0 {
			fmt.Fprintf(&b, "\n--- %s\n%s", filepath.Base(f), text[max(0, len(text)-1500):])
		}
	}
	return b.String()
}

// Await asks for a zone's NS until a server answers.
func Await(h *netns.Host, server netip.AddrPort, zone string) error {
	q := new(dns.Msg).SetQuestion(zone, dns.TypeNS)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		m, err := Exchange(ctx, h, server, q)
		cancel()
		if err == nil && m.Rcode == dns.RcodeSuccess {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer for %s after %s", server, zone, patience)
}

// Exchange asks from a host over UDP, and over TCP if the answer was cut.
func Exchange(ctx context.Context, h *netns.Host, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	for _, network := range []string{"udp", "tcp"} {
		m, err := exchangeOver(ctx, h, network, server, q)
		if err != nil || !m.Truncated {
			return m, err
		}
	}
	return nil, fmt.Errorf("%s: truncated over TCP", server)
}

func exchangeOver(ctx context.Context, h *netns.Host, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, err := h.Dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// AddressRR returns the A or AAAA record of a name server.
func AddressRR(owner string, a netip.Addr) dns.RR {
	typ := "AAAA"
	if a.Is4() {
		typ = "A"
	}
	return MustRR(fmt.Sprintf("%s 172800 IN %s %s", owner, typ, a))
}

// MustRR returns the record that a line of a zone file is.
func MustRR(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic("internet: " + text + ": " + err.Error())
	}
	return rr
}
