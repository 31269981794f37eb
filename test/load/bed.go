//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"proxima/test/netns"
)

// Addresses on the one host, all on lo.
var (
	serverAddr = netip.MustParseAddr("192.0.2.1")
	sourceAddr = netip.MustParseAddr("192.0.2.2") // of the server's questions
	rootAddr   = netip.MustParseAddr("192.0.2.53")
	leafAddr   = netip.MustParseAddr("192.0.2.54")
	probeAddr  = netip.MustParseAddr("198.51.100.250")
)

// clientAddrs are those from which dnsperf asks: several, as resolvers bound
// what one client may hold.
func clientAddrs() []netip.Addr {
	all := make([]netip.Addr, 4)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})
	}
	return all
}

// ttl is that of every record, in seconds: none ends while it is measured.
const ttl = 43200

// A bed is the host on which everything runs, with the authority.
type bed struct {
	options
	dir   string
	net   *netns.Net
	host  *netns.Host
	cores cores
	// rate is the load at which latency is measured, in queries a second; 0
	// until it is known.
	rate float64

	warm, mix string // files for dnsperf: each question once, and the mix
	questions []string
	starts    int
	authority []*netns.Program
}

// cores say where what runs.
type cores struct {
	server    []int // the first alone, or both
	generator []int // also of the authority
}

// newCores shares out the CPUs that this process may use.
func newCores() (cores, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cores{}, err
	}
	var all []int
	for cpu := 0; len(all) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	switch {
	case len(all) < 2:
		return cores{}, fmt.Errorf("%d CPU here, 2 needed: one for the server, one for the generator", len(all))
	case len(all) < 4:
		return cores{server: all[:2], generator: all[1:]}, nil
	}
	return cores{server: all[:2], generator: all[2:]}, nil
}

// apart reports whether the generator has no core of the server's two.
func (c cores) apart() bool { return c.generator[0] != c.server[1] }

// newBed makes the host, starts the authority and writes the questions.
func newBed(o options, dir string) (b *bed, err error) {
	b = &bed{options: o, dir: dir, net: netns.New(), rate: o.Rate}
	defer func() {
		if err != nil {
			b.net.Close()
		}
	}()
	if b.cores, err = newCores(); err != nil {
		return nil, err
	}
	if b.host, err = b.net.Host("load"); err != nil {
		return nil, err
	}
	for _, a := range append(clientAddrs(), serverAddr, sourceAddr, rootAddr, leafAddr, probeAddr) {
		if err := b.host.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return nil, err
		}
	}
	names := b.names()
	if err := os.WriteFile(b.hints(), []byte(". 3600000 NS ns.root.\nns.root. 3600000 A "+rootAddr.String()+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := b.serve("root", ".", rootAddr, rootZone()); err != nil {
		return nil, err
	}
	if err := b.serve("leaf", "example.", leafAddr, leafZone(names)); err != nil {
		return nil, err
	}
	return b, b.writeQuestions(names)
}

func (b *bed) hints() string { return filepath.Join(b.dir, "hints") }

func rootZone() string {
	return fmt.Sprintf(`. 86400 SOA ns.root. hostmaster.root. 1 1800 900 604800 86400
. 86400 NS ns.root.
ns.root. 86400 A %s
example. %d NS ns.example.
ns.example. %d A %s
`, rootAddr, ttl, ttl, leafAddr)
}

// leafZone has the names that are asked again and again, with one to three
// addresses, most of both families; and a wildcard for those asked once.
func leafZone(names []string) string {
	var z strings.Builder
	fmt.Fprintf(&z, "$TTL %d\nexample. SOA ns.example. hostmaster.example. 1 7200 3600 1209600 %d\n", ttl, ttl)
	fmt.Fprintf(&z, "example. NS ns.example.\nns.example. A %s\n*.example. A 203.0.113.1\n", leafAddr)
	for i, name := range names {
		for n := range 1 + i%3 {
			fmt.Fprintf(&z, "%s A 203.0.113.%d\n", name, 1+(i+n)%250)
		}
		if i%4 != 0 {
			fmt.Fprintf(&z, "%s AAAA 2001:db8::%x\n", name, 1+i)
		}
	}
	return z.String()
}

// names are the names of the mix, the popular ones first: those of a list, or
// made up ones.
func (b *bed) names() []string {
	names := make([]string, 0, b.Names)
	if f, err := os.Open(b.List); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan() && len(names) < b.Names; {
			if name := strings.TrimSpace(lines.Text()); name != "" {
				names = append(names, name+".example.")
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := len(names); i < b.Names; i++ {
		label := make([]byte, 4+r.IntN(12))
		for n := range label {
			label[n] = byte('a' + r.IntN(26))
		}
		names = append(names, fmt.Sprintf("%s%d.com.example.", label, i))
	}
	return names
}

// mixed is how many questions the file of the mix has, and skew the exponent of
// its distribution: the tenth of the names asked most gets some four fifths.
const (
	mixed = 200_000
	skew  = 1.05
)

// writeQuestions writes each question of the mix once, and the mix: a third of
// it asks for AAAA.
func (b *bed) writeQuestions(names []string) error {
	r := rand.New(rand.NewPCG(3, 4))
	draw := rand.NewZipf(r, skew, 1, uint64(len(names)-1))
	types := []string{"A", "A", "AAAA"}
	for i, name := range names {
		b.questions = append(b.questions, name+" "+types[i%len(types)])
	}
	b.warm, b.mix = filepath.Join(b.dir, "warm"), filepath.Join(b.dir, "mix")
	if err := writeLines(b.warm, len(names), func(i int) string { return b.questions[i] }); err != nil {
		return err
	}
	return writeLines(b.mix, mixed, func(int) string { return b.questions[draw.Uint64()] })
}

// unique returns a file of so many questions for names that differ.
func (b *bed) unique(count int) (string, error) {
	file := filepath.Join(b.dir, fmt.Sprintf("unique-%d", count))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	return file, writeLines(file, count, func(i int) string { return uniqueName(i) + " A" })
}

func uniqueName(i int) string { return fmt.Sprintf("name%08d.example.", i) }

func writeLines(file string, count int, line func(i int) string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range count {
		w.WriteString(line(i))
		w.WriteByte('\n')
	}
	return w.Flush()
}

// serve starts one NSD with one zone and waits until it answers.
func (b *bed) serve(name, zone string, at netip.Addr, text string) error {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	conf := fmt.Sprintf(`server:
 ip-address: %s
 username: ""
 zonesdir: %q
 pidfile: ""
 database: ""
 xfrdfile: ""
 zonelistfile: "list"
 xfrdir: %q
 server-count: 1
 rrl-ratelimit: 0
remote-control:
 control-enable: no
zone:
 name: %q
 zonefile: "zone"
`, at, dir, dir, zone)
	file := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	nsd, err := b.start(filepath.Join(dir, "log"), b.cores.generator, "nsd", "-d", "-c", file)
	if err != nil {
		return err
	}
	b.authority = append(b.authority, nsd)
	return b.await(at, zone)
}

// intact says which part of the authority has ended, though nobody here asked it
// to, or nil.
func (b *bed) intact() error {
	for _, nsd := range b.authority {
		select {
		case <-nsd.Done():
			log, _ := os.ReadFile(nsd.Stdout.(*os.File).Name())
			return fmt.Errorf("the authority has ended: %v\n%s", nsd.Err(), log)
		default:
		}
	}
	return nil
}

// start starts a program on some cores, with its output in a file.
func (b *bed) start(log string, on []int, words ...string) (*netns.Program, error) {
	cmd := exec.Command("nice", append(b.placed(on), words...)...)
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	return b.host.Start(cmd)
}

// placed are the words, after "nice", that put a program on some cores.
func (b *bed) placed(on []int) []string {
	return []string{"-n", strconv.Itoa(b.Nice), "taskset", "-c", list(on)}
}

func list(cpus []int) string {
	words := make([]string, len(cpus))
	for i, cpu := range cpus {
		words[i] = strconv.Itoa(cpu)
	}
	return strings.Join(words, ",")
}

// startLimit bounds the wait for a program to answer.
const startLimit = time.Minute

// await asks for a zone's NS until there is a reply.
func (b *bed) await(server netip.Addr, zone string) error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := b.ask(server, zone); err == nil {
			return nil
		}
		if err := b.intact(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not answer for %s after %v", server, zone, startLimit)
}

func (b *bed) ask(server netip.Addr, zone string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := b.host.Dial(ctx, "udp", netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	c := &dns.Conn{Conn: conn}
	if err := c.WriteMsg(new(dns.Msg).SetQuestion(zone, dns.TypeNS)); err != nil {
		return err
	}
	m, err := c.ReadMsg()
	if err == nil && m.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("%s: %s", zone, dns.RcodeToString[m.Rcode])
	}
	return err
}
