//go:build linux

package roll

import (
	"bufio"
	"bytes"
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

	"proxima/resolver/anchor"
	"proxima/test/netns"
)

// A resolver is one of those that are compared.
type resolver struct {
	name    string
	peer    bool // it is no Proxima
	astray  bool // a peer whose keys are no longer what they should be: not asked any more
	at      netip.AddrPort
	state   string // the file with its trust anchors
	program *netns.Program
}

// build builds a Proxima whose clock can be moved.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "proxima")
	if out, err := exec.CommandContext(ctx, "go", "build", "-tags", "testclock", "-o", program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}

// startProxima starts a Proxima that trusts some keys and keeps its state in a
// file. Around says how the program is run, if it is not just so.
func (w *world) startProxima(name, program, addr, state string, trusted []*key, around ...string) (*resolver, error) {
	r := &resolver{name: name, at: netip.MustParseAddrPort(addr), state: state}
	var anchors []string
	for _, k := range trusted {
		ds := k.ds()
		anchors = append(anchors, fmt.Sprintf("%q", fmt.Sprintf("%s IN DS %d %d %d %s", ds.Hdr.Name, ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)))
	}
	conf := fmt.Sprintf("listen: {addresses: [%s], port: %d}\nadmin: {listen: \"\"}\nhealth: {recursion: {targets: []}, validation: {good: [], bogus: []}}\ndnssec:\n  trust_anchors: [%s]\n  anchor_state: %q\n",
		r.at.Addr(), r.at.Port(), strings.Join(anchors, ", "), state)
	file := filepath.Join(w.dir, name+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	command := append(slices.Clone(around), program, "serve", "-c", file)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PROXIMA_CLOCK_OFFSET_FILE="+w.clockFile())
	return r, w.startResolver(r, cmd)
}

// startUnbound starts Unbound with its own way to keep trust anchors, and with a
// clock that libfaketime moves.
func (w *world) startUnbound(name, addr string, trusted *key) (*resolver, error) {
	r := &resolver{name: name, peer: true, at: netip.MustParseAddrPort(addr), state: filepath.Join(w.dir, name+".key")}
	hints, err := w.writeHints()
	if err != nil {
		return nil, err
	}
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
 auto-trust-anchor-file: %q
 root-hints: %q
 minimal-responses: yes
 val-log-level: 2
remote-control:
 control-enable: no
`, r.at.Addr(), r.at.Port(), w.dir, r.state, hints)
	file := filepath.Join(w.dir, name+".conf")
	if err := errors.Join(os.WriteFile(file, []byte(conf), 0o644), os.WriteFile(r.state, []byte(trusted.public.String()+"\n"), 0o644)); err != nil {
		return nil, err
	}
	cmd := exec.Command("unbound", "-d", "-c", file)
	// Its timers are to run out when the clock is moved.
	cmd.Env = w.faked()
	return r, w.startResolver(r, cmd)
}

// startKnot starts Knot Resolver in the same manner. It asks for the keys of
// the root three times a second instead of when a timer says so.
func (w *world) startKnot(name, addr string, trusted *key) (*resolver, error) {
	dir := filepath.Join(w.dir, name)
	r := &resolver{name: name, peer: true, at: netip.MustParseAddrPort(addr), state: filepath.Join(dir, "root.keys")}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	hints, err := w.writeHints()
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`log_target('stderr')
net.listen('%s', %d, { kind = 'dns' })
rawset(cache, 'current_storage', 'lmdb://%s/cache')
cache.size = 20 * MB
modules.unload('detect_time_skew')
modules.load('hints > iterate')
hints.root_file('%s')
modules.load('ta_update')
ta_update.refresh_time = 300
trust_anchors.add_file('%s')
`, r.at.Addr(), r.at.Port(), dir, hints, r.state)
	file := filepath.Join(w.dir, name+".conf")
	if err := errors.Join(os.WriteFile(file, []byte(conf), 0o644), os.WriteFile(r.state, []byte(trusted.public.String()+"\n"), 0o644)); err != nil {
		return nil, err
	}
	cmd := exec.Command("kresd", "-n", "-c", file, dir)
	// Its jemalloc wants to know the time before libfaketime can tell it, so the C
	// and C++ libraries' own allocators go before that one.
	cmd.Env = append(w.faked("libc.so.6", "libstdc++.so.6"), "FAKETIME_DONT_FAKE_MONOTONIC=1")
	return r, w.startResolver(r, cmd)
}

// writeHints writes the root servers' addresses for those who have older ones.
func (w *world) writeHints() (string, error) {
	var text strings.Builder
	for _, s := range anchor.Roots() {
		fmt.Fprintf(&text, ". %d IN NS %s\n", ttl, s.Name)
		for _, a := range s.Addrs {
			text.WriteString(address(s.Name, a))
		}
	}
	file := filepath.Join(w.dir, "hints")
	return file, os.WriteFile(file, []byte(text.String()), 0o644)
}

// fakeLibraries is where libfaketime is, for programs with threads.
func fakeLibraries() []string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	return found
}

// faked is the environment in which a C program has the resolvers' time.
func (w *world) faked(before ...string) []string {
	preload := strings.Join(append(fakeLibraries()[:1], before...), " ")
	return append(os.Environ(), "LD_PRELOAD="+preload, "FAKETIME_TIMESTAMP_FILE="+w.clockFile(), "FAKETIME_NO_CACHE=1", "NO_FAKE_STAT=1")
}

// startResolver starts a program and returns when it answers.
func (w *world) startResolver(r *resolver, cmd *exec.Cmd) (err error) {
	if r.program, err = w.start(w.here, r.name, cmd); err != nil {
		return err
	}
	return await(r.name+" answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := w.here.Dial(ctx, "tcp", r.at.String())
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// stop ends a resolver as an operator would.
func (r *resolver) stop() {
	_ = r.program.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.program.Done():
	case <-time.After(patience):
		r.program.Kill()
	}
	// What libfaketime leaves behind of a program that does not end by itself.
	for _, left := range []string{"faketime_shm_", "sem.faketime_sem_"} {
		_ = os.Remove(fmt.Sprintf("/dev/shm/%s%d", left, r.program.Process.Pid))
	}
}

// stateOf returns what a resolver's file says of a key, in the words of
// Proxima's: "-" if nothing.
func (r *resolver) stateOf(k *key) string {
	text, err := os.ReadFile(r.state)
	if err != nil {
		return "no file"
	}
	words := map[string]string{"pending": "pending", "addpend": "pending", "valid": "valid", "missing": "missing", "revoked": "revoked", "removed": "removed"}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.ToLower(lines.Text())
		if !strings.Contains(strings.ReplaceAll(line, " ", ""), strings.ToLower(k.public.PublicKey)) {
			continue
		}
		fields := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" ;[]:\t", c) })
		for _, f := range fields {
			if state := words[f]; state != "" {
				return state
			}
		}
		return "untracked"
	}
	return "-"
}

// states returns what a resolver's file says of some keys.
func (r *resolver) states(keys []*key) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = r.stateOf(k)
	}
	return strings.Join(all, " ")
}

// refreshed reports whether a resolver has written its file since.
func (r *resolver) refreshed(since time.Time) bool {
	info, err := os.Stat(r.state)
	return err == nil && info.ModTime().After(since)
}

// questions are asked on each day. The last label changes, so that no denial is
// known from another day.
func questions(day int) []dns.Question {
	var all []dns.Question
	for _, q := range []struct {
		name string
		typ  uint16
	}{
		{".", dns.TypeDNSKEY}, {".", dns.TypeSOA}, {".", dns.TypeNS}, {".", dns.TypeTXT},
		{fmt.Sprintf("nope%d.", day), dns.TypeA},
		{"example.", dns.TypeDS}, {"example.", dns.TypeSOA}, {"example.", dns.TypeDNSKEY},
		{"www.example.", dns.TypeA}, {"www.example.", dns.TypeTXT}, {fmt.Sprintf("nope%d.example.", day), dns.TypeA},
		{"other-example.", dns.TypeDNSKEY}, {"www.other-example.", dns.TypeA}, {fmt.Sprintf("nope%d.other-example.", day), dns.TypeA},
		{"rolling.example.", dns.TypeDS}, {"rolling.example.", dns.TypeDNSKEY}, {"rolling.example.", dns.TypeSOA},
		{"www.rolling.example.", dns.TypeA}, {"www.rolling.example.", dns.TypeTXT}, {fmt.Sprintf("nope%d.rolling.example.", day), dns.TypeA},
		{"plain.example.", dns.TypeDS}, {"www.plain.example.", dns.TypeA},
	} {
		all = append(all, dns.Question{Name: q.name, Qtype: q.typ, Qclass: dns.ClassINET})
	}
	return all
}
