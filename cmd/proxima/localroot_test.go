package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/cmd/internal/memory"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver/anchor"
	"proxima/test/sim"
)

// mustCopy writes a signed root to a file, and returns its anchor and its key.
func mustCopy(t testing.TB) (file string, ds *dns.DS, key *dns.DNSKEY) {
	t.Helper()
	n := sim.New(1)
	root := n.Zone(".", "@ 86400 SOA a.example. h.example. 1 1800 900 604800 86400\n@ NS a.example.\nexample. NS a.example.\na.example. A 192.0.2.1\n")
	root.Sign()
	ds = n.Anchor()
	var b strings.Builder
	for _, rr := range root.Whole(true) {
		fmt.Fprintln(&b, rr)
		if k, ok := rr.(*dns.DNSKEY); ok && k.KeyTag() == ds.KeyTag {
			key = k
		}
	}
	file = filepath.Join(t.TempDir(), "root.zone")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, ds, key
}

func TestCheckLocalRoot_trustsWhatTheDaemonWould(t *testing.T) {
	file, own, key := mustCopy(t)
	const foreign = ". IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000"
	owned := fmt.Sprintf(". IN DS %d %d %d %s", own.KeyTag, own.Algorithm, own.DigestType, own.Digest)
	// state is a file begun from an anchor, with the key in some state.
	state := func(t *testing.T, begun string, s anchor.State) (file string) {
		t.Helper()
		anchors, err := readAnchors([]string{begun})
		if err != nil {
			t.Fatal(err)
		}
		u := anchor.Begin(".", anchors)
		k := anchor.Key{DNSKEY: key, State: s, Since: time.Now()}
		if s == anchor.Revoked {
			k.Until = k.Since.Add(time.Hour)
		}
		u.Keys = []anchor.Key{k}
		file = filepath.Join(t.TempDir(), "root.keys")
		if err := u.Save(file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		name, anchor string
		state        func(t *testing.T) (file string)
		want         string // in the fault; "" = none
	}{
		{"the anchor's own", owned, nil, ""},
		{"another root's", foreign, nil, "recursion.local_root.file: localroot: serial 1: "},
		{"with a key learnt since", foreign, func(t *testing.T) string { return state(t, foreign, anchor.Valid) }, ""},
		{"with the anchor's key revoked since", owned, func(t *testing.T) string { return state(t, owned, anchor.Revoked) },
			"recursion.local_root.file: localroot: serial 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := ""
			if tt.state != nil {
				keys = tt.state(t)
			}
			err := checkLocalRoot(mustParse(t, fmt.Sprintf(
				"dnssec: {trust_anchors: [%q], anchor_state: %q}\nrecursion: {local_root: {file: %q}}\n", tt.anchor, keys, file)))
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("fault %v, want %q", err, tt.want)
			}
		})
	}
}

func TestHostWarnings_nameAStateThatIsOfNoUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.keys")
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, fmt.Sprintf("dnssec: {anchor_state: %q}\n", file))
	warnings := strings.Join(texts(hostWarnings(c, netsetup.Kernel(), memory.Room{})), "\n")
	if !strings.HasPrefix(warnings, "dnssec.anchor_state: anchor: state file ") || !strings.HasSuffix(warnings, "; trust anchors will be begun anew") {
		t.Errorf("warnings %q", warnings)
	}
}

// withCopy has a node look for a copy of the root, in vain.
func withCopy(c *config.Node) { c.Recursion.LocalRoot.File = "/nonexistent/root.zone" }

func TestMetrics_tellOfACopyOnlyWhereThereIsToBeOne(t *testing.T) {
	for name, want := range map[string]bool{"without": false, "with": true} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, "", func(c *config.Node) {
				if want {
					withCopy(c)
				}
			})
			families, err := n.newRegistry().Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := false
			for _, f := range families {
				got = got || strings.HasPrefix(f.GetName(), "proxima_localroot_")
			}
			if got != want {
				t.Errorf("told of it %t, want %t", got, want)
			}
		})
	}
}
