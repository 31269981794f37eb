package config

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestParseNode_emptyFileIsTheDefaults(t *testing.T) {
	want := defaultNode()
	want.finish()
	for _, text := range []string{"", "# nothing\n", "---\n", "listen:\n"} {
		if got, err := ParseNode("proxima.yaml", []byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseNode(%q) = %+v, %v; want the defaults", text, got, err)
		}
	}
}

func TestParseNode_exampleIsTheDefaults(t *testing.T) {
	want := defaultNode()
	want.finish()
	got, err := ParseNode("proxima.yaml", mustRead(t, "proxima.yaml"))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the example = %+v, %v; want %+v", got, err, want)
	}
}

// knownKeys returns the path of each key in a table of fields.
func knownKeys(t *testing.T, fields []field) []string {
	t.Helper()
	var keys []string
	for _, f := range fields {
		r := &reader{lines: make(map[string]int)}
		f.read(r, f.name, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}})
		known, isSection := strings.CutPrefix(r.problems[0].Allowed, "keys with values: ")
		if len(r.problems) == 0 || !isSection {
			keys = append(keys, f.name)
			continue
		}
		for k := range strings.SplitSeq(known, ", ") {
			keys = append(keys, f.name+"."+k)
		}
	}
	return keys
}

func TestParseNode_setsEveryKey(t *testing.T) {
	got, err := ParseNode("proxima.yaml", []byte(fullNode))
	if err != nil {
		t.Fatal(err)
	}
	want := &Node{
		Node: Identity{ID: "ams1"},
		Listen: Listen{
			Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:53::1")},
			Port:      53,
		},
		Anycast: Anycast{
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32"), netip.MustParsePrefix("2001:db8:53::1/128")},
			Interface: "anycast0",
		},
		Upstream: Upstream{
			Sources: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
			IPv4:    true,
			Deny:    []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")},
		},
		Recursion: Recursion{
			RootHints: "/etc/proxima/hints", QNAMEMinimization: "strict",
			Forward: []Zone{
				{"corp.example.", []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, true, true, true, false, true},
				{"old.example.", []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, false, true, false, true, false},
			},
			Stub: []Zone{
				{"lab.example.", []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::54]:5353")}, false, false, true, false, true},
				{"odd.example.", []netip.AddrPort{netip.MustParseAddrPort("192.0.2.54:53")}, false, true, false, false, true},
			},
		},
		DNSSEC: DNSSEC{
			TrustAnchors: []string{". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"},
			AnchorState:  "/var/lib/proxima/root.keys",
			NegativeTrustAnchors: []NegativeTrustAnchor{
				{Zone: "broken.example."}, {Zone: "mended.example.", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
			},
			AggressiveExcept: []string{"wild.example."},
			NSEC3Iterations:  150, SHA1: "validate", ValidationTime: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		},
		Cache: Cache{Memory: 3 << 30, MinTTL: time.Second, MaxTTL: time.Hour,
			KeepWarm: []Warm{{Name: "www.example."}, {"example.", 15}}},
		Access: Access{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
		Health: Health{Every: 400 * time.Millisecond, Rise: 5, Fall: 4, Recursion: RecursionCheck{[]string{"example.", "lab."}, 1, time.Minute, false},
			Validation: ValidationCheck{[]string{"example."}, []string{"bad.example."}, time.Hour, false}},
		BGP:     BGP{"/run/bgp.sock", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}, 2 * time.Second, time.Minute},
		Control: Control{Socket: "/run/control.sock"},
		Log:     Log{Level: "debug"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseNode_everyKeyStandsInTheExample(t *testing.T) {
	example := string(mustRead(t, "proxima.yaml"))
	for _, key := range knownKeys(t, defaultNode().fields()) {
		_, name, _ := strings.Cut(key, ".")
		if !strings.Contains(example, "  "+name+": ") && !strings.Contains(example, "# "+name+": ") {
			t.Errorf("proxima.yaml has no %s", key)
		}
	}
}

const fullNode = `node: {id: ams1}
listen:
  addresses: [198.51.100.1, "2001:db8:53::1"]
  port: 53
anycast:
  addresses: [198.51.100.1/32, "2001:db8:53::1/128"]
  interface: anycast0
upstream:
  sources: [192.0.2.10]
  ipv6: false
  deny: [192.0.2.128/25]
recursion:
  root_hints: /etc/proxima/hints
  qname_minimization: strict
  forward: [{zone: Corp.Example, servers: [192.0.2.53], first: true}, {zone: old.example., servers: [192.0.2.53], mixed_case: false, tcp: true, validate: false}]
  stub: [{zone: lab.example., servers: ["2001:db8::54@5353"], minimize: false}, {zone: odd.example., servers: [192.0.2.54], mixed_case: false}]
dnssec:
  validate: false
  trust_anchors: [". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"]
  anchor_state: /var/lib/proxima/root.keys
  negative_trust_anchors: [broken.example, {zone: mended.example., until: 2026-12-01T00:00:00Z}]
  aggressive: false
  aggressive_except: [wild.example.]
  nsec3_iterations: 150
  sha1: validate
  validation_time: 2026-01-31T12:00:00Z
cache: {memory: 3GiB, stale: 0s, min_ttl: 1s, max_ttl: 1h, keep_warm: [WWW.example, example. MX]}
access: {allow: [0.0.0.0/0, "::/0"]}
health: {every: 400ms, rise: 5, fall: 4, recursion: {targets: [Example, lab.], quorum: 1, every: 1m, roots: false}, validation: {good: [example], bogus: [bad.example], every: 1h, clock: false}}
bgp:
  socket: /run/bgp.sock
  prefixes: [198.51.100.0/24, "2001:db8:53::/48"]
  lease: 2s
  drain: 1m
admin: {listen: ""}
control: {socket: /run/control.sock}
log: {level: debug}
`

func TestParseNode_problems(t *testing.T) {
	const anycast = "listen: {addresses: [198.51.100.1]}\nanycast: {addresses: [198.51.100.1/32]}\n"
	const athome = "; allowed: a prefix with one of anycast.addresses or listen.addresses in it"
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"a number out of bounds", "listen:\n  port: 70000\n",
			[]string{"2: listen.port: 70000 is not allowed; allowed: 1 to 65535"}},
		{"everything at once, by line", "listen:\n  port: 0\n  prot: 53\ncache:\n  memory: 256\nlog: loud\n", []string{
			"2: listen.port: 0 is not allowed; allowed: 1 to 65535",
			"3: listen.prot: unknown key, did you mean port?; allowed: addresses, port",
			"5: cache.memory: 256 is not a whole number with a unit; allowed: 1MiB to 1TiB (units KiB, MiB, GiB, TiB)",
			"6: log: is the text loud; allowed: keys with values: level"}},
		{"a key given twice", "listen:\n  port: 53\n  port: 54\n",
			[]string{"3: listen.port: is given twice, first on line 2"}},
		{"a section given twice", "log:\nlog:\n", []string{"2: log: is given twice, first on line 1"}},
		{"a text where a number belongs", "listen: {port: \"53\"}\n",
			[]string{"1: listen.port: is the text 53; allowed: 1 to 65535"}},
		{"another base", "listen: {port: 0x35}\n", []string{"1: listen.port: 0x35 is not allowed; allowed: 1 to 65535"}},
		{"an octal number", "listen: {port: 053}\n", []string{"1: listen.port: 053 is not allowed; allowed: 1 to 65535"}},
		{"an octal size", "cache: {memory: 0256MiB}\n", []string{
			"1: cache.memory: 0256MiB is not allowed; allowed: 1MiB to 1TiB (units KiB, MiB, GiB, TiB)"}},
		{"an octal port of a server", "recursion: {stub: [{zone: ., servers: [\"192.0.2.1@053\"]}]}\n", []string{
			"1: recursion.stub[0].servers[0]: 192.0.2.1@053 has no good port; allowed: " + nameserver.allowed}},
		{"a number where a text belongs", "node: {id: 12}\n", []string{
			"1: node.id: is the number 12, to be written in quotes; allowed: " + token.allowed}},
		{"a list where a scalar belongs", "listen: {port: [53]}\n", []string{"1: listen.port: is a list; allowed: 1 to 65535"}},
		{"a scalar where a list belongs", "access: {allow: 0.0.0.0/0}\n",
			[]string{"1: access.allow: is the text 0.0.0.0/0; allowed: a list of: an IPv4 or IPv6 prefix"}},
		{"nothing where a scalar belongs", "listen:\n  port:\n", []string{"2: listen.port: is empty; allowed: 1 to 65535"}},
		{"YAML's other truths", "upstream: {ipv4: yes}\n", []string{"1: upstream.ipv4: is the text yes; allowed: true or false"}},
		{"a duration without unit", "health: {every: 1}\n",
			[]string{"1: health.every: 1 has no unit; allowed: 100ms to 4s (units h, m, s, ms)"}},
		{"an unknown unit", "cache: {stale: 1d}\n",
			[]string{"1: cache.stale: 1d is not a duration; allowed: 0s to 168h (units h, m, s, ms)"}},
		{"a size that overflows", "cache: {memory: 99999999999TiB}\n", []string{
			"1: cache.memory: 99999999999TiB is not allowed; allowed: 1MiB to 1TiB (units KiB, MiB, GiB, TiB)"}},
		{"a bad address", "listen: {addresses: [192.0.2.256]}\n",
			[]string{"1: listen.addresses[0]: 192.0.2.256 is not an address; allowed: an IPv4 or IPv6 address, 0.0.0.0 or ::"}},
		{"an IPv4 address in IPv6 form", "listen: {addresses: [\"::ffff:192.0.2.1\"]}\n", []string{
			"1: listen.addresses[0]: ::ffff:192.0.2.1 is an IPv4 address in IPv6 form; allowed: an IPv4 or IPv6 address, 0.0.0.0 or ::"}},
		{"an address twice", "listen: {addresses: [\"::1\", \"0::1\"]}\n",
			[]string{"1: listen.addresses[1]: 0::1 is the same as listen.addresses[0]"}},
		{"an address beside its wildcard", "listen: {addresses: [192.0.2.1, 0.0.0.0, \"::1\"]}\n",
			[]string{"1: listen.addresses[0]: 192.0.2.1 is covered by 0.0.0.0 already"}},
		{"no address at all", "listen: {addresses: []}\n", []string{"1: listen.addresses: is empty; allowed: at least one address"}},
		{"a prefix with further bits", "access: {allow: [192.0.2.1/24]}\n", []string{
			"1: access.allow[0]: 192.0.2.1/24 has bits beyond its length, 192.0.2.0/24 has not; allowed: an IPv4 or IPv6 prefix"}},
		{"an address where a prefix belongs", "access: {allow: [192.0.2.1]}\n",
			[]string{"1: access.allow[0]: 192.0.2.1 has no /length; allowed: an IPv4 or IPv6 prefix"}},
		{"nobody may ask", "access: {allow: []}\n", []string{
			`1: access.allow: is empty; allowed: at least one prefix; [0.0.0.0/0, "::/0"] is everybody`}},
		{"a service address is a single one", "anycast: {addresses: [198.51.100.0/24]}\n", []string{
			"1: anycast.addresses[0]: 198.51.100.0/24 is not allowed; allowed: a global address with /32 or /128"}},
		{"a service address nobody listens on", "anycast: {addresses: [198.51.100.1/32]}\n", []string{
			"1: anycast.addresses[0]: nothing listens on 198.51.100.1; allowed: an address of listen.addresses, or 0.0.0.0 among those"}},
		{"an anycast source", anycast + "upstream:\n  sources: [198.51.100.1]\n", []string{
			"4: upstream.sources[0]: 198.51.100.1 is an anycast address: the reply to it would reach another node; " +
				"allowed: unicast addresses of this host"}},
		{"a loopback source of an anycast node", anycast + "upstream: {sources: [127.0.0.1]}\n", []string{
			"3: upstream.sources[0]: 127.0.0.1 is a loopback address: no reply from beyond this host would reach it; " +
				"allowed: unicast addresses of this host"}},
		{"a loopback source of any other node", "upstream: {sources: [127.0.0.1]}\n", nil},
		{"two sources of a family", "upstream: {sources: [192.0.2.1, 192.0.2.2]}\n", []string{
			"1: upstream.sources[1]: 192.0.2.2 is the second source of its family; allowed: one IPv4 and one IPv6 address"}},
		{"no family upstream", "upstream: {ipv4: false, ipv6: false}\n",
			[]string{"1: upstream.ipv6: is false and so is upstream.ipv4; allowed: one of them true"}},
		{"an anycast address outside the announced prefixes", anycast + "bgp: {socket: /run/bgp.sock, prefixes: [203.0.113.0/24]}\n",
			[]string{"2: anycast.addresses[0]: 198.51.100.1 is in none of bgp.prefixes, so no query would reach it",
				"3: bgp.prefixes[0]: nobody would answer in 203.0.113.0/24" + athome}},
		{"a prefix of a family without an address", anycast + "bgp: {prefixes: [198.51.100.0/24, \"2001:db8:53::/48\"]}\n",
			[]string{"3: bgp.prefixes[1]: nobody would answer in 2001:db8:53::/48" + athome}},
		{"a prefix of a node on loopback", "bgp: {socket: /run/b, prefixes: [198.51.100.0/24]}\n",
			[]string{"1: bgp.prefixes[0]: nobody would answer in 198.51.100.0/24" + athome}},
		{"a prefix below a wildcard alone", "listen: {addresses: [0.0.0.0]}\nbgp: {prefixes: [198.51.100.0/24]}\n",
			[]string{"2: bgp.prefixes[0]: nobody would answer in 198.51.100.0/24" + athome}},
		{"a prefix of an address that the operator holds", "listen: {addresses: [198.51.100.1]}\nbgp: {prefixes: [198.51.100.0/24]}\n", nil},
		{"a faulty address is not counted as missing, too", "anycast: {addresses: [198.51.100.1]}\nbgp: {prefixes: [198.51.100.0/24]}\n",
			[]string{"1: anycast.addresses[0]: 198.51.100.1 has no /length; allowed: a global address with /32 or /128"}},
		{"an announcement of nothing", "bgp: {socket: /run/bgp.sock}\n",
			[]string{"1: bgp.prefixes: is empty although bgp.socket is set; allowed: at least one prefix"}},
		{"a lease that ends before failures are seen", anycast + "bgp: {socket: /run/b, prefixes: [198.51.100.0/24], lease: 2s}\n", []string{
			"3: bgp.lease: 2s ends before health.fall failures are seen; allowed: 2.5s at least with this health.every and health.fall"}},
		{"a quorum beyond the targets", "health: {recursion: {targets: [com.], quorum: 2}}\n", []string{
			"1: health.recursion.quorum: 2 is more than there are targets; allowed: 1 at most"}},
		{"graceful restart", "bgp: {graceful_restart: true}\n", []string{
			"1: bgp.graceful_restart: graceful restart is refused: after a crash routers would go on sending " +
				"queries to this node until the restart time ends"}},
		{"metrics on an anycast address", anycast + "admin: {listen: \"0.0.0.0:9153\"}\n", []string{
			"3: admin.listen: 0.0.0.0:9153 would open it on an anycast address; allowed: a loopback or unicast address of this host"}},
		{"metrics where DNS listens", "admin: {listen: \"127.0.0.1:5300\"}\n", []string{
			"1: admin.listen: 127.0.0.1:5300 is where DNS listens; allowed: another address or port"}},
		{"metrics below the wildcard of DNS", "listen: {addresses: [0.0.0.0]}\nadmin: {listen: \"192.0.2.1:5300\"}\n", []string{
			"2: admin.listen: 192.0.2.1:5300 is where DNS listens; allowed: another address or port"}},
		{"metrics on the wildcard above DNS", "admin: {listen: \"[::]:5300\"}\n", []string{
			"1: admin.listen: [::]:5300 is where DNS listens; allowed: another address or port"}},
		{"metrics on DNS's port elsewhere", "admin: {listen: \"192.0.2.1:5300\"}\n", nil},
		{"what cannot be kept warm", "cache:\n  keep_warm:\n    - a..example.\n    - www.example. ANY\n    - www.example.\n    - WWW.example\n", []string{
			"3: cache.keep_warm[0]: a..example. is not a domain name; allowed: " + warm.allowed,
			"4: cache.keep_warm[1]: \"www.example. ANY\" has no good type; allowed: " + warm.allowed,
			"6: cache.keep_warm[3]: WWW.example is the same as cache.keep_warm[2]"}},
		{"too many names to be kept warm", "cache: {keep_warm: [" + strings.Repeat("a.example.,", 1001) + "]}\n",
			[]string{"1: cache.keep_warm: has 1001 entries; allowed: 1000 at most"}},
		{"TTL bounds the wrong way round", "cache: {min_ttl: 1m, max_ttl: 1s}\n",
			[]string{"1: cache.min_ttl: is above cache.max_ttl; allowed: at most 1s"}},
		{"a zone without name and servers", "recursion:\n  stub:\n    - {}\n", []string{
			"3: recursion.stub[0].zone: is missing; allowed: a domain name",
			"3: recursion.stub[0].servers: is missing or empty; allowed: at least one server"}},
		{"a zone both forwarded and stub", "recursion:\n  forward: [{zone: a.example, servers: [192.0.2.1]}]\n" +
			"  stub: [{zone: A.example., servers: [192.0.2.1]}]\n", []string{
			"3: recursion.stub[0].zone: a.example. is the zone of recursion.forward[0] already"}},
		{"a forwarder that is this node", anycast + "recursion: {forward: [{zone: ., servers: [198.51.100.1]}]}\n", []string{
			"3: recursion.forward[0].servers[0]: 198.51.100.1 is an address of this node, which would ask itself"}},
		{"a forwarder beside this node", "recursion: {forward: [{zone: ., servers: [\"127.0.0.1@5301\"]}]}\n", nil},
		{"a forwarder on this node's port", "recursion: {forward: [{zone: ., servers: [\"127.0.0.1@5300\"]}]}\n", []string{
			"1: recursion.forward[0].servers[0]: 127.0.0.1 is an address of this node, which would ask itself"}},
		{"a server's bad port", "recursion: {stub: [{zone: ., servers: [\"192.0.2.1@0\"]}]}\n", []string{
			"1: recursion.stub[0].servers[0]: 192.0.2.1@0 has no good port; allowed: " + nameserver.allowed}},
		{"stub zones know no first", "recursion: {stub: [{zone: ., servers: [192.0.2.1], first: true}]}\n",
			[]string{"1: recursion.stub[0].first: unknown key; allowed: zone, servers, mixed_case, tcp, validate, minimize"}},
		{"forward zones know no minimize, because names are never shortened there", "recursion: {forward: [{zone: ., servers: [192.0.2.1], minimize: false}]}\n",
			[]string{"1: recursion.forward[0].minimize: unknown key; allowed: zone, servers, mixed_case, tcp, validate, first"}},
		{"a copy of the root", "recursion: {local_root: {file: /var/lib/root.zone, servers: [192.0.2.1, \"2001:db8::1@5353\"]}}\n", nil},
		{"a copy that nobody proves", "recursion: {local_root: {file: /root.zone}}\ndnssec: {validate: false}\n", []string{
			"1: recursion.local_root: cannot be verified while dnssec.validate is false"}},
		{"a copy that nobody asks", "recursion:\n  local_root: {servers: [192.0.2.1]}\n  forward: [{zone: ., servers: [192.0.2.1]}]\n", []string{
			"2: recursion.local_root: is never asked, because recursion.forward[0] is for the root"}},
		{"a copy from this node", "recursion: {local_root: {servers: [\"127.0.0.1@5300\"]}}\n", []string{
			"1: recursion.local_root.servers[0]: 127.0.0.1 is an address of this node"}},
		{"one socket for two", "control: {socket: /run/s}\nlisten: {addresses: [198.51.100.1]}\n" +
			"bgp:\n  prefixes: [198.51.100.0/24]\n  socket: /run/./s\n", []string{
			"1: control.socket: /run/s is the path of bgp.socket, too"}},
		{"the socket that is another's default", "listen: {addresses: [198.51.100.1]}\nbgp:\n  prefixes: [198.51.100.0/24]\n" +
			"  socket: /run/proxima/control.sock\n", []string{
			"4: bgp.socket: /run/proxima/control.sock is the path of control.socket, too"}},
		{"one file for two", "dnssec: {anchor_state: /var/lib/p}\ncache: {snapshot: /var/lib/p}\n", []string{
			"2: cache.snapshot: /var/lib/p is the path of dnssec.anchor_state, too"}},
		{"a path too long for a socket", "\ncontrol: {socket: /" + strings.Repeat("s", 107) + "}\n", []string{
			"2: control.socket: \"/" + strings.Repeat("s", 63) + "\"… is too long; allowed: \"\" or an absolute path of at most 107 octets"}},
		{"the longest path of a socket", "control: {socket: /" + strings.Repeat("s", 106) + "}\n", nil},
		{"a relative path", "recursion: {root_hints: hints}\n",
			[]string{`1: recursion.root_hints: hints is not allowed; allowed: "" or an absolute path`}},
		{"a trust anchor cut short", "dnssec: {trust_anchors: [\". IN DS 20326 8 2 E06D\"]}\n", []string{
			`1: dnssec.trust_anchors[0]: ". IN DS 20326 8 2 E06D" has no digest of 64 hexadecimal digits; allowed: ` + trustAnchor.allowed}},
		{"a trust anchor by SHA-1", "dnssec: {trust_anchors: [\". IN DS 20326 8 1 E06D\"]}\n", []string{
			`1: dnssec.trust_anchors[0]: ". IN DS 20326 8 1 E06D" has a digest type other than 2 and 4; allowed: ` + trustAnchor.allowed}},
		{"a trust anchor that is revoked", "dnssec: {trust_anchors: [\". IN DNSKEY 385 3 8 AwEAAQ==\"]}\n", []string{
			`1: dnssec.trust_anchors[0]: ". IN DNSKEY 385 3 8 AwEAAQ==" has not the flags of a zone key that is in use; allowed: ` + trustAnchor.allowed}},
		{"a trust anchor with a TTL", "dnssec: {trust_anchors: [\". 86400 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\"]}\n", nil},
		{"a trust anchor with two", "dnssec: {trust_anchors: [\". 1 2 IN DS 20326 8 2 E06D\"]}\n", []string{
			`1: dnssec.trust_anchors[0]: ". 1 2 IN DS 20326 8 2 E06D" is not allowed; allowed: ` + trustAnchor.allowed}},
		{"trust anchors in a file", "dnssec: {trust_anchors: [/etc/proxima/anchors]}\n", nil},
		{"a negative trust anchor twice", "dnssec:\n  negative_trust_anchors:\n  - a.example\n  - {zone: A.example.}\n", []string{
			"4: dnssec.negative_trust_anchors[1]: a.example. is the zone of dnssec.negative_trust_anchors[0] already"}},
		{"a negative trust anchor of nothing", "dnssec: {negative_trust_anchors: [{until: 2026-12-01T00:00:00Z}]}\n", []string{
			"1: dnssec.negative_trust_anchors[0]: has no zone; allowed: a domain name"}},
		{"too many NSEC3 iterations", "dnssec: {nsec3_iterations: 151}\n",
			[]string{"1: dnssec.nsec3_iterations: 151 is not allowed; allowed: 0 to 150"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, w := range tt.want {
				want = append(want, "proxima.yaml:"+w)
			}
			saysAll(t, parseNode(tt.text), want...)
		})
	}
}

// mutate changes a few places of text the way slips and broken disks do.
func mutate(r *rand.Rand, text string) string {
	const odd = "0:[]{}#\"'\t&*!-,|>%@\x00\xff9a"
	lines := strings.Split(text, "\n")
	for range 1 + r.IntN(3) {
		i := r.IntN(len(lines))
		line := lines[i]
		at := r.IntN(len(line) + 1)
		switch r.IntN(7) {
		case 0: // a line lost
			lines = append(lines[:i:i], lines[i+1:]...)
		case 1: // a line twice
			lines = append(lines[:i+1:i+1], lines[i:]...)
		case 2: // another indentation
			lines[i] = strings.Repeat(" ", r.IntN(5)) + strings.TrimLeft(line, " ")
		case 3: // a character lost
			lines[i] = line[:at] + line[min(at+1, len(line)):]
		case 4: // a character too many
			lines[i] = line[:at] + string(odd[r.IntN(len(odd))]) + line[at:]
		case 5: // cut off
			lines[i] = line[:at]
		case 6: // the comment becomes the key
			lines[i] = strings.Replace(line, "# ", "", 1)
		}
		if len(lines) == 0 {
			return ""
		}
	}
	return strings.Join(lines, "\n")
}

func TestParseNode_mutatedFilesAreValidOrClearlyWrong(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{}))
	valid := 0
	for range 1000 {
		text := mutate(r, string(mustRead(t, "proxima.yaml")))
		if checkParse(t, parseNode(text), "proxima.yaml") {
			valid++
		}
	}
	if valid == 0 || valid == 1000 {
		t.Errorf("%d of 1,000 are valid: the mutations are not what they were", valid)
	}
}

// checkParse fails unless err is nil or says where the problem is and what.
func checkParse(t testing.TB, err error, file string) (valid bool) {
	t.Helper()
	if err == nil {
		return true
	}
	problems, ok := err.(Problems)
	if !ok || len(problems) == 0 || len(problems) > maxProblems+1 {
		t.Fatalf("error %v", err)
	}
	for _, p := range problems {
		line := p.String()
		if p.File != file || p.Line < 1 || p.Reason == "" || strings.ContainsAny(line, "\n\r\x00\x1b") {
			t.Fatalf("unclear: %q", line)
		}
	}
	return false
}

func FuzzParseNode(f *testing.F) {
	f.Add(string(mustRead(f, "proxima.yaml")))
	f.Add(fullNode)
	f.Add("a: &a [*a]\n? {b: 1}\n: - !!int 1\n...\n---\n<<: 1")
	f.Fuzz(func(t *testing.T, text string) {
		checkParse(t, parseNode(text), "proxima.yaml")
	})
}
