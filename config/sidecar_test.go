package config

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseSidecar_exampleIsTheDefaults(t *testing.T) {
	got, err := ParseSidecar("proxima-bgp.yaml", mustRead(t, "proxima-bgp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	short, err := ParseSidecar("proxima-bgp.yaml", []byte(leastSidecar))
	if err != nil || !reflect.DeepEqual(got, short) {
		t.Errorf("the example = %+v\nwant %+v, %v", got, short, err)
	}
}

// leastSidecar is the example without what is the default.
const leastSidecar = `gobgp: {asn: 64511, router_id: 203.0.113.2, peers: [{address: 203.0.113.1, asn: 64500}]}
groups: [{name: main, prefixes: [198.51.100.0/24, "2001:db8:53::/48"]}]
`

func TestParseSidecar_setsEveryKey(t *testing.T) {
	got, err := ParseSidecar("proxima-bgp.yaml", []byte(`socket: /run/b.sock
speaker: dry-run
gobgp:
  asn: 64511
  router_id: 203.0.113.2
  hold_time: 30s
  peers: [{address: "2001:db8::1", port: 1179, asn: 64500, password_file: /etc/key, ttl_security: false, bfd: true}]
groups:
  - name: inside
    prefixes: [198.51.100.1/32]
    next_hop: {ipv4: 203.0.113.3, ipv6: "2001:db8::3"}
    communities: ["64511:100"]
    large_communities: ["64511:1:4294967295"]
    med: 7
    prepend: 1
    degraded: {communities: [], prepend: 3}
    internal: true
warmup: {min: 1s, rise: 2, jitter: 0s}
degrade: {dwell: 5s, rise: 6}
hold_down: {base: 3s, max: 4s, jitter: 0.5}
damping: {half_life: 1m, limit: 0}
guard: {source: peers, node: n, listen: "203.0.113.2:9155", peers: ["203.0.113.3:9155"], key_file: /etc/guard, min_others: 2,
  max_withdrawn: 0.5, stale_after: 9s, on_unknown: withdraw}
state_file: /var/lib/b.state
control: {socket: /run/b-control.sock}
drain: {wait: 6s, quiet: 5s}
admin: {listen: ""}
log: {level: warn}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Sidecar{
		Socket: "/run/b.sock", Speaker: "dry-run",
		GoBGP: GoBGP{64511, netip.MustParseAddr("203.0.113.2"), 30 * time.Second, []Peer{
			{netip.MustParseAddr("2001:db8::1"), 1179, 64500, "/etc/key", false, true}}},
		Groups: []Group{{
			Name: "inside", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")},
			NextHop:     NextHop{netip.MustParseAddr("203.0.113.3"), netip.MustParseAddr("2001:db8::3")},
			Communities: []Community{64511<<16 | 100}, LargeCommunities: []LargeCommunity{{64511, 1, 4294967295}},
			MED: 7, Prepend: 1, Degraded: Degraded{Prepend: 3}, Internal: true,
		}},
		Warmup: Warmup{time.Second, 2, 0}, Degrade: Degrade{5 * time.Second, 6}, HoldDown: HoldDown{3 * time.Second, 4 * time.Second, 0.5},
		Damping: Damping{time.Minute, 0},
		Guard: Guard{"peers", "n", netip.MustParseAddrPort("203.0.113.2:9155"), []netip.AddrPort{netip.MustParseAddrPort("203.0.113.3:9155")},
			"/etc/guard", 2, 0.5, 9 * time.Second, "withdraw"},
		StateFile: "/var/lib/b.state", Control: Control{"/run/b-control.sock"},
		Drain: Drain{6 * time.Second, 5 * time.Second}, Log: Log{Level: "warn"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseSidecar_problems(t *testing.T) {
	const peers = "gobgp: {asn: 64511, router_id: 203.0.113.2, peers: [{address: 203.0.113.1, asn: 64500}]}\n"
	const groups = "groups: [{name: main, prefixes: [198.51.100.0/24]}]\n"
	hold := func(v string) string { return strings.Replace(peers, "asn", "hold_time: "+v+", asn", 1) + groups }
	group := func(v string) string { return peers + "groups:\n  - " + v + "\n" }
	const grReason = "graceful restart is refused: after a crash routers would go on sending queries to this node until the restart time ends"
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"an empty file lacks what has no default", "", []string{
			"1: gobgp.asn: is missing; allowed: " + asn.allowed,
			"1: gobgp.router_id: is missing; allowed: an IPv4 address",
			"1: gobgp.peers: is missing or empty; allowed: at least one peer",
			"1: groups: is missing or empty; allowed: at least one group"}},
		{"a dry run needs no peers", "speaker: dry-run\n" + groups, nil},
		{"a speaker that nobody knows", "speaker: quagga\n" + peers + groups,
			[]string{"1: speaker: quagga is not allowed; allowed: gobgp, kernel, bird, exec, dry-run"}},
		{"a daemon with a file of ours", "speaker: bird\nbird: {asn: 64511}\n" + groups, nil},
		{"a daemon without our number", "speaker: bird\nbird: {}\n" + groups,
			[]string{"2: bird.asn: is missing; allowed: 1 to 4294967294, but not 23456 and 65535"}},
		{"a program of the operator's", "speaker: exec\nexec: {asn: 64511, command: [/bin/xargs, -v, -v]}\n" + groups, nil},
		{"a daemon that reads the kernel", "speaker: kernel\nkernel: {daemon: frr}\n" + groups, nil},
		{"no daemon", "speaker: kernel\nkernel: {}\n" + groups, []string{"2: kernel.daemon: is missing; allowed: bird, frr"}},
		{"no program", "speaker: exec\nexec: {asn: 64511}\n" + groups, []string{"2: exec.command: is missing or empty; allowed: a list of words, the first an absolute path"}},
		{"a program that the path would have to find", "speaker: exec\nexec: {asn: 64511, command: [tee, x]}\n" + groups,
			[]string{"2: exec.command[0]: tee is no absolute path; allowed: an absolute path"}},
		{"a program without our number", "speaker: exec\nexec: {command: [/bin/tee]}\n" + groups, []string{"2: exec.asn: is missing; allowed: 1 to 4294967294, but not 23456 and 65535"}},
		{"no hold time", hold("0s"),
			[]string{"1: gobgp.hold_time: 0s means that a router never notices a dead node; allowed: 3s to 240s, whole seconds"}},
		{"a hold time below the protocol's", hold("2s"),
			[]string{"1: gobgp.hold_time: 2s is not allowed; allowed: 3s to 240s, whole seconds"}},
		{"the least hold time", hold("3s"), nil},
		{"graceful restart, below gobgp", strings.Replace(peers, "asn", "graceful-restart: {enabled: true}, asn", 1) + groups,
			[]string{"1: gobgp.graceful-restart: " + grReason}},
		{"long-lived graceful restart, of a peer", strings.Replace(peers, "address", "llgr: 1h, address", 1) + groups,
			[]string{"1: gobgp.peers[0].llgr: " + grReason}},
		{"a reserved AS number", strings.Replace(peers, "64511", "23456", 1) + groups,
			[]string{"1: gobgp.asn: 23456 is not allowed; allowed: " + asn.allowed}},
		{"an octal AS number", strings.Replace(peers, "64511", "064511", 1) + groups,
			[]string{"1: gobgp.asn: 064511 is not allowed; allowed: " + asn.allowed}},
		{"an octal community", group(`{name: a, prefixes: [198.51.100.0/24], communities: ["64511:0100"]}`),
			[]string{"3: groups[0].communities[0]: 64511:0100 is not allowed; allowed: " + community.allowed}},
		{"a peer twice", strings.Replace(peers, "}]", "}, {address: 203.0.113.1, asn: 64501}]", 1) + groups,
			[]string{"1: gobgp.peers[1].address: 203.0.113.1 is the address of gobgp.peers[0] already"}},
		{"a peer without AS number", strings.Replace(peers, ", asn: 64500", "", 1) + groups,
			[]string{"1: gobgp.peers[0].asn: is missing; allowed: " + asn.allowed}},
		{"an IPv4 prefix that others drop", group("{name: a, prefixes: [198.51.100.0/25]}"), []string{
			"3: groups[0].prefixes[0]: 198.51.100.0/25 is longer than /24, which other networks drop; " +
				"allowed: /24 at most, or internal: true on the group"}},
		{"an IPv6 prefix that others drop", group(`{name: a, prefixes: ["2001:db8:53::/49"]}`), []string{
			"3: groups[0].prefixes[0]: 2001:db8:53::/49 is longer than /48, which other networks drop; " +
				"allowed: /48 at most, or internal: true on the group"}},
		{"long prefixes stay inside", group(`{name: a, internal: true, prefixes: [198.51.100.1/32, "2001:db8:53::1/128"]}`), nil},
		{"BLACKHOLE", group(`{name: a, prefixes: [198.51.100.0/24], communities: ["65535:666"]}`), []string{
			"3: groups[0].communities[0]: 65535:666 is refused: it asks routers to drop the traffic to the prefix " +
				"(BLACKHOLE, RFC 7999); allowed: " + community.allowed}},
		{"BLACKHOLE while degraded", group(`{name: a, prefixes: [198.51.100.0/24], degraded: {communities: ["65535:666"]}}`), []string{
			"3: groups[0].degraded.communities[0]: 65535:666 is refused: it asks routers to drop the traffic to the prefix " +
				"(BLACKHOLE, RFC 7999); allowed: " + community.allowed}},
		{"a prefix in two groups", group("{name: a, prefixes: [198.51.100.0/24]}\n  - {name: b, prefixes: [198.51.100.0/24]}"),
			[]string{"4: groups[1].prefixes[0]: 198.51.100.0/24 is in groups[0] already"}},
		{"a name twice", group("{name: a, prefixes: [198.51.100.0/24]}\n  - {name: a, prefixes: [203.0.113.0/24]}"),
			[]string{"4: groups[1].name: a is the name of groups[0] already"}},
		{"a default route", group(`{name: a, prefixes: ["::/0"]}`),
			[]string{"3: groups[0].prefixes[0]: ::/0 is not allowed; allowed: a unicast prefix"}},
		{"a next hop of the other family", group(`{name: a, prefixes: [198.51.100.0/24], next_hop: {ipv4: "2001:db8::1"}}`),
			[]string{"3: groups[0].next_hop.ipv4: 2001:db8::1 is not allowed; allowed: an IPv4 address"}},
		{"more quiet than wait", peers + groups + "drain: {wait: 1s, quiet: 2s}\n",
			[]string{"3: drain.quiet: is above drain.wait; allowed: at most 1s"}},
		{"hold-down bounds the wrong way round", peers + groups + "hold_down: {base: 2s, max: 1s}\n",
			[]string{"3: hold_down.base: is above hold_down.max; allowed: at most 1s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, w := range tt.want {
				want = append(want, "proxima-bgp.yaml:"+w)
			}
			saysAll(t, parseSidecar(tt.text), want...)
		})
	}
}

func TestParseSidecar_mutatedFilesAreValidOrClearlyWrong(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{}))
	for range 1000 {
		text := mutate(r, string(mustRead(t, "proxima-bgp.yaml")))
		checkParse(t, parseSidecar(text), "proxima-bgp.yaml")
	}
}

func FuzzParseSidecar(f *testing.F) {
	f.Add(string(mustRead(f, "proxima-bgp.yaml")))
	f.Add(leastSidecar)
	f.Fuzz(func(t *testing.T, text string) {
		checkParse(t, parseSidecar(text), "proxima-bgp.yaml")
	})
}
