package sidecar

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestListen_takes_over_a_dead_socket(t *testing.T) {
	o := testOptions(t, newRecorder())
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: o.Path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as SIGKILL leaves it
	s, err := Listen(o)
	if err != nil {
		t.Fatalf("Listen = %v, want nil", err)
	}
	defer s.Close()
	info, err := os.Stat(o.Path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("Stat = %v, %v; want mode %o", info.Mode(), err, socketMode)
	}
}

func TestListen_refuses(t *testing.T) {
	tests := []struct {
		name string
		bend func(t *testing.T, o *Options)
		want string
	}{
		{"a socket that is alive", func(t *testing.T, o *Options) { start(t, *o) }, "another sidecar"},
		{"a file that is no socket", func(t *testing.T, o *Options) { os.WriteFile(o.Path, nil, 0o600) }, "not a socket"},
		{"a folder that is absent", func(t *testing.T, o *Options) { o.Path = "/nonexistent/bgp.sock" }, "no such file"},
		{"no groups", func(t *testing.T, o *Options) { o.Groups = nil }, "Groups"},
		{"no speaker", func(t *testing.T, o *Options) { o.Speaker = nil }, "Speaker"},
		{"a /25", func(t *testing.T, o *Options) {
			o.Groups[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/25")}
		}, "longer than /24"},
		{"a /49", func(t *testing.T, o *Options) {
			o.Groups[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:53::/49")}
		}, "longer than /48"},
		{"a default route", func(t *testing.T, o *Options) {
			o.Groups[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("::/0")}
		}, "default route"},
		{"host bits", func(t *testing.T, o *Options) {
			o.Groups[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}
		}, "host bits"},
		{"a blackhole", func(t *testing.T, o *Options) { o.Groups[0].Communities = []uint32{blackhole} }, "65535:666"},
		{"a blackhole when degraded", func(t *testing.T, o *Options) { o.Groups[0].Degraded.Communities = []uint32{blackhole} }, "65535:666"},
		{"a long path", func(t *testing.T, o *Options) { o.Groups[0].Prepend = 200 }, "prepend"},
		{"a next hop of the other family", func(t *testing.T, o *Options) { o.Groups[0].NextHop.IPv4 = netip.MustParseAddr("2001:db8::1") }, "not IPv4"},
		{"a prefix in two groups", func(t *testing.T, o *Options) { o.Groups = append(o.Groups, o.Groups[0]) }, "also in group"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t, newRecorder())
			tt.bend(t, &o)
			s, err := Listen(o)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestListen_allows_longer_prefixes_inside(t *testing.T) {
	o := testOptions(t, newRecorder())
	o.Groups[0].Internal = true
	o.Groups[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}
	s, err := Listen(o)
	if err != nil {
		t.Fatalf("Listen = %v, want nil", err)
	}
	s.Close()
}
