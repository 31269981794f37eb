package main

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"proxima/config"
	"proxima/resolver/iterate"
)

func mustParse(t testing.TB, text string) *config.Node {
	t.Helper()
	c, err := config.ParseNode("proxima.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustAddrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestListenAddresses(t *testing.T) {
	tests := []struct {
		name    string
		present []netip.Addr
		want    []netip.Addr
	}{
		{"the defaults on a host with IPv6", mustAddrs("127.0.0.1", "::1"), mustAddrs("127.0.0.1", "::1")},
		{"the defaults on a host without", mustAddrs("127.0.0.1"), mustAddrs("127.0.0.1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := listenAddresses(mustParse(t, ""), tt.present); !slices.Equal(got, tt.want) {
				t.Errorf("listen on %v, want %v", got, tt.want)
			}
		})
	}
}

func TestServerOptions_letTheNodeAskItself(t *testing.T) {
	c := mustParse(t, `{listen: {addresses: [198.51.100.1, "::"]}, anycast: {addresses: [198.51.100.1/32, "2001:db8:53::1/128"]}, access: {allow: [203.0.113.0/24]}}`)
	got := serverOptions(c, c.Listen.Addresses, mustAddrs("192.0.2.10"), nil)
	mayAsk := func(a netip.Addr) bool {
		return slices.ContainsFunc(got.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	for _, a := range mustAddrs("198.51.100.1", "2001:db8:53::1", "::1", "192.0.2.10") {
		if !mayAsk(a) || !slices.Contains(got.Own, a) {
			t.Errorf("%v may not ask as one of ours: %v, %v", a, got.Allow, got.Own)
		}
	}
	if client := netip.MustParseAddr("203.0.113.7"); !mayAsk(client) || slices.Contains(got.Own, client) {
		t.Errorf("%v may not ask, or as one of ours: %v, %v", client, got.Allow, got.Own)
	}
	if mayAsk(netip.MustParseAddr("192.0.2.11")) {
		t.Errorf("a stranger may ask: %v", got.Allow)
	}
}

func TestWalkerOptions_mirrorTheFile(t *testing.T) {
	c := mustParse(t, `
listen: {addresses: [0.0.0.0, "::1", "2001:db8::10"]}
anycast: {addresses: [198.51.100.1/32]}
upstream: {deny: [192.0.2.0/24]}
recursion:
  qname_minimization: strict
  forward: [{zone: corp.example, servers: [192.0.2.53], first: true}, {zone: old.example, servers: [192.0.2.53], tcp: true, validate: false}]
  stub: [{zone: lab.example, servers: ["192.0.2.54@5353"]}, {zone: odd.example, servers: [192.0.2.54], mixed_case: false, minimize: false}]
cache: {min_ttl: 1s, max_ttl: 2h, stale: 3h}
`)
	want := iterate.Options{
		Zones: []iterate.Zone{
			{Name: "corp.example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Recursive: true, First: true},
			{Name: "old.example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Recursive: true, Stream: true, Unvalidated: true},
			{Name: "lab.example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.54:5353")}},
			{Name: "odd.example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.54:53")}, Full: true, Lower: true},
		},
		Own: mustAddrs("198.51.100.1", "2001:db8::10"), Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		IPv4: true, Minimize: iterate.Strict, MinTTL: time.Second, MaxTTL: 2 * time.Hour, Stale: 3 * time.Hour,
	}
	if got := walkerOptions(c, nil, mustAddrs("192.0.2.10")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReadHints_namesTheKey(t *testing.T) {
	bad := t.TempDir() + "/hints"
	if err := os.WriteFile(bad, []byte(". NS a.example.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, bad + ".absent"} {
		if _, err := readHints(file); err == nil || !strings.HasPrefix(err.Error(), "recursion.root_hints: ") || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v", err)
		}
	}
}

func TestWarmQuestions(t *testing.T) {
	got := ""
	for _, q := range warmQuestions(mustParse(t, "cache: {keep_warm: [www.example, example. MX]}\n")) {
		got += q.String() + "\n"
	}
	if want := ";www.example.\tIN\t A\n;www.example.\tIN\t AAAA\n;example.\tIN\t MX\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
