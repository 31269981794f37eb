//go:build linux

package internet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"proxima/test/netns"
)

// A contender is a resolver that takes part in the race: started with an empty
// cache, the model's root servers, no validation, room for many questions, and
// else as it comes.
type contender struct {
	name    string
	program string   // found on the path; Proxima's is built
	version []string // its arguments for saying its version
	// conf is its file, with places for its folder, the hints, and the address
	// and the port to listen on.
	conf string
	// command is its arguments, with places for the file and the folder.
	command func(file, dir string) []string
}

// The contenders.
var (
	proxima = contender{
		name: "Proxima", version: []string{"version"},
		conf: `listen: {addresses: [%[3]s], port: %[4]d}
admin: {listen: ""}
dnssec: {validate: false}
health: {recursion: {targets: []}}
recursion: {root_hints: %[2]q}
`,
		command: func(file, _ string) []string { return []string{"serve", "-c", file} },
	}
	unbound = contender{
		name: "Unbound", program: "unbound", version: []string{"-V"},
		conf: `server:
 interface: %[3]s@%[4]d
 username: ""
 chroot: ""
 directory: %[1]q
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 module-config: "iterator"
 root-hints: %[2]q
remote-control:
 control-enable: no
`,
		command: func(file, _ string) []string { return []string{"-d", "-c", file} },
	}
	knot = contender{
		name: "Knot Resolver", program: "kresd", version: []string{"--version"},
		conf: `log_target('stderr')
net.listen('%[3]s', %[4]d, { kind = 'dns' })
rawset(cache, 'current_storage', 'lmdb://%[1]s/cache')
cache.size = 100 * MB
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules.load('hints > iterate')
hints.root_file('%[2]s')
trust_anchors.remove('.')
`,
		command: func(file, dir string) []string { return []string{"-n", "-c", file, dir} },
	}
	bind = contender{
		name: "BIND", program: "named", version: []string{"-v"},
		conf: `options {
 directory %[1]q;
 listen-on port %[4]d { %[3]s; };
 listen-on-v6 { none; };
 pid-file none;
 session-keyfile none;
 lock-file none;
 recursion yes;
 allow-recursion { any; };
 dnssec-validation no;
};
controls { };
zone "." { type hint; file %[2]q; };
`,
		command: func(file, _ string) []string { return []string{"-g", "-c", file} },
	}
	powerdns = contender{
		name: "PowerDNS Recursor", program: "pdns_recursor", version: []string{"--version"},
		// It asks no documentation addresses and over IPv4 only, unless told.
		conf: `config-dir=%[1]s
socket-dir=%[1]s
hint-file=%[2]s
local-address=%[3]s
local-port=%[4]d
dont-query=
query-local-address=0.0.0.0, ::
dnssec=process-no-validate
security-poll-suffix=
daemon=no
quiet=yes
`,
		command: func(_, dir string) []string { return []string{"--config-dir=" + dir} },
	}
)

// build builds Proxima into dir.
func (c contender) build(ctx context.Context, dir string) (contender, error) {
	c.program = filepath.Join(dir, "proxima")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		return c, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return c, nil
}

// number finds a version, not that of the compiler ("go1.26").
var number = regexp.MustCompile(`[ v]([0-9]+(\.[0-9]+)+)`)

// title returns the contender's name and version.
func (c contender) title() string {
	out, _ := exec.Command(c.program, c.version...).CombinedOutput()
	if v := number.FindSubmatch(out); v != nil {
		return c.name + " " + string(v[1])
	}
	return c.name
}

// start starts the contender on a host and waits until it resolves.
func (c contender) start(h *netns.Host, at netip.AddrPort, hints, dir string) (*netns.Program, error) {
	file := filepath.Join(dir, "recursor.conf") // as one of them wants it to be called
	if err := os.WriteFile(file, fmt.Appendf(nil, c.conf, dir, hints, at.Addr(), at.Port()), 0o644); err != nil {
		return nil, err
	}
	p, err := Start(h, dir, "log", exec.Command(c.program, c.command(file, dir)...))
	if err != nil {
		return nil, err
	}
	if err := Await(h, at, "."); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%s: %w%s", c.name, err, Logs(dir))
	}
	return p, nil
}
