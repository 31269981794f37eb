//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// A kind is a resolver, or the echo, and how it is started. All are set up
// alike: validation off, the same root, IPv4, one room for the cache, minimal
// responses, no log, queues that hold what the generator has under way.
type kind struct {
	name    string
	program string // to look for; "" for what is built here
	version []string
	config  *template.Template // of the file; nil for none
	// command returns the words that start it with its file.
	command func(program, file string, s settings) []string
	// single says that it has one thread: for more, more of it are started.
	single bool
	// beside returns the words of what has to run beside it, or nil.
	beside func(s settings) []string
}

// settings are what a file is made from.
type settings struct {
	Dir             string // the server's own
	Hints           string // file of root hints
	Address, Source string
	Admin           string
	Threads         int
	MiB             int // room for the cache
}

// Entries is the room for the cache where it has to be said in entries: a
// record and a packet of a small answer take some 512 octets.
func (s settings) Entries() int { return s.MiB << 20 / 512 }

// Half is half of the room, in MiB.
func (s settings) Half() int { return s.MiB / 2 }

func text(name, text string) *template.Template {
	return template.Must(template.New(name).Parse(text))
}

// kinds are all there are. The first is what the others are compared with.
var kinds = []kind{
	{
		name: "unbound", program: "unbound", version: []string{"-V"},
		config: text("unbound", `server:
 interface: {{.Address}}@53
 outgoing-interface: {{.Source}}
 access-control: 0.0.0.0/0 allow
 do-ip6: no
 username: ""
 chroot: ""
 directory: "{{.Dir}}"
 pidfile: ""
 use-syslog: no
 logfile: ""
 verbosity: 0
 do-daemonize: no
 num-threads: {{.Threads}}
 so-reuseport: yes
 so-rcvbuf: 4m
 so-sndbuf: 4m
 msg-cache-size: {{.Half}}m
 rrset-cache-size: {{.Half}}m
 msg-cache-slabs: {{.Threads}}
 rrset-cache-slabs: {{.Threads}}
 infra-cache-slabs: {{.Threads}}
 key-cache-slabs: {{.Threads}}
 outgoing-range: 8192
 num-queries-per-thread: 4096
 incoming-num-tcp: 1024
 module-config: "iterator"
 qname-minimisation: yes
 minimal-responses: yes
 root-hints: "{{.Hints}}"
remote-control:
 control-enable: no
`),
		command: func(program, file string, _ settings) []string { return []string{program, "-d", "-c", file} },
	},
	{
		name: "proxima", version: []string{"version"},
		config: text("proxima", `listen: {addresses: [{{.Address}}], port: 53}
upstream: {sources: [{{.Source}}], ipv6: false}
access: {allow: [0.0.0.0/0]}
recursion: {root_hints: "{{.Hints}}"}
dnssec: {validate: false}
health: {recursion: {targets: []}}
cache: {memory: {{.MiB}}MiB}
admin: {listen: "{{.Admin}}"}
control: {socket: ""}
log: {level: error}
`),
		command: func(program, file string, _ settings) []string { return []string{program, "serve", "-c", file} },
	},
	{
		name: "echo", // a child of this program, see echoIfAsked
		command: func(program, _ string, s settings) []string {
			// Without preemption, which is by signals.
			return []string{"env", "GODEBUG=asyncpreemptoff=1", echoEnv + "=" + s.Address + ":53", fmt.Sprintf("%s=%d", echoReadersEnv, s.Threads), program}
		},
	},
	{
		name: "powerdns", program: "pdns_recursor", version: []string{"--version"},
		config: text("powerdns", `local-address={{.Address}}
local-port=53
query-local-address={{.Source}}
allow-from=0.0.0.0/0
dont-query=
hint-file={{.Hints}}
socket-dir={{.Dir}}
daemon=no
write-pid=no
disable-syslog=yes
quiet=yes
loglevel=3
threads={{.Threads}}
distributor-threads=0
pdns-distributes-queries=no
reuseport=yes
dnssec=off
security-poll-suffix=
max-mthreads=4096
max-tcp-clients=1024
max-concurrent-requests-per-tcp-connection=64
max-cache-entries={{.Entries}}
max-packetcache-entries={{.Entries}}
packetcache-ttl=86400
`),
		command: func(program, file string, _ settings) []string {
			return []string{program, "--config-dir=" + filepath.Dir(file)}
		},
	},
	{
		name: "knot", program: "kresd", version: []string{"-V"}, single: true,
		config: text("knot", `log_target('stderr')
log_level('crit')
net.ipv6 = false
net.listen('{{.Address}}', 53, { kind = 'dns' })
net.outgoing_v4('{{.Source}}')
rawset(cache, 'current_storage', 'lmdb://{{.Dir}}/cache')
cache.size = {{.MiB}} * MB
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules.load('hints > iterate')
hints.root_file('{{.Hints}}')
trust_anchors.remove('.')
`),
		command: func(program, file string, s settings) []string { return []string{program, "-n", "-c", file, s.Dir} },
		beside: func(s settings) []string {
			return []string{"kres-cache-gc", "-c", filepath.Join(s.Dir, "cache"), "-d", "1000"}
		},
	},
	{
		name: "bind", program: "named", version: []string{"-v"},
		config: text("bind", `options {
 directory "{{.Dir}}";
 listen-on port 53 { {{.Address}}; };
 listen-on-v6 { none; };
 query-source address {{.Source}};
 recursion yes;
 allow-query { any; };
 allow-recursion { any; };
 dnssec-validation no;
 empty-zones-enable no;
 minimal-responses yes;
 max-cache-size {{.MiB}}M;
 recursive-clients 10000;
 tcp-clients 1000;
 querylog no;
 pid-file none;
 session-keyfile none;
};
controls { };
logging { category default { null; }; };
zone "." { type hint; file "{{.Hints}}"; };
`),
		command: func(program, file string, s settings) []string {
			return []string{program, "-f", "-4", "-n", fmt.Sprint(s.Threads), "-c", file}
		},
	},
}

// A peer is a kind with the program that is started for it.
type peer struct {
	*kind
	name    string // of the column
	path    string
	version string
}

// find returns the peers of a list such as "unbound,proxima=/path/to/another",
// in its order, and why others are not here.
func find(ctx context.Context, list, dir string) (found []*peer, missing []string, err error) {
	for item := range strings.SplitSeq(list, ",") {
		name, path, _ := strings.Cut(item, "=")
		p := &peer{kind: kindOf(name), name: name, path: path}
		switch {
		case p.kind == nil:
			return nil, nil, fmt.Errorf("-peers: there is no %q", name)
		case path != "":
			p.name = item
		case p.program != "":
			if p.path, err = exec.LookPath(p.program); err != nil {
				missing = append(missing, fmt.Sprintf("%s: %v", name, err))
				continue
			}
		case name == "echo":
			p.path, err = os.Executable()
		default:
			p.path, err = build(ctx, dir)
		}
		if err != nil {
			return nil, nil, err
		}
		p.version = p.release(ctx)
		found = append(found, p)
	}
	return found, missing, nil
}

func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// build compiles Proxima into dir, with this module's own go command.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "proxima")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "proxima/cmd/proxima")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}

// release is the first line of what a program says of its version.
func (p *peer) release(ctx context.Context) string {
	if p.kind.version == nil {
		return ""
	}
	out, _ := exec.CommandContext(ctx, p.path, p.kind.version...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
