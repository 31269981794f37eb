package config

import (
	"errors"
	"testing"
)

func TestLines_Find(t *testing.T) {
	text := "cache:\n  snapshot: /var/cache\ndnssec:\n  trust_anchors:\n    - /etc/a\n    - /etc/b\n"
	l := NodeLines("proxima.yaml", []byte(text))
	tests := []struct{ name, err, want string }{
		{"a value", "cache.snapshot: /var: is bad", "proxima.yaml:2: cache.snapshot: /var: is bad"},
		{"an entry of a list", "dnssec.trust_anchors[1]: is bad", "proxima.yaml:6: dnssec.trust_anchors[1]: is bad"},
		{"a default", "control.socket: is bad", ""},
		{"no key", "netsetup: is bad", ""},
		{"no reason", "cache.snapshot", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := l.Find(errors.New(tt.err))
			if ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("%q, %t; want %q", got, ok, tt.want)
			}
		})
	}
}

func TestSidecarLines(t *testing.T) {
	l := SidecarLines("bgp.yaml", []byte("speaker: dry-run\nsocket: /run/s\n"))
	if p, ok := l.Find(errors.New("socket: is bad")); !ok || p.String() != "bgp.yaml:2: socket: is bad" {
		t.Errorf("%v, %t", p, ok)
	}
}
