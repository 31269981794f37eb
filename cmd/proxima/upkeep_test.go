package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"proxima/config"
	"proxima/resolver/anchor"
)

func TestLoadUpkeep(t *testing.T) {
	const ds = ". IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000"
	tests := []struct {
		name, text string
		keys       int // anchors; -1: nothing is kept up to date
	}{
		{"the built-in keys", "", 2},
		{"an anchor of the operator", "dnssec: {trust_anchors: [\"" + ds + "\"]}\n", 1},
		{"a state file that is not there", "dnssec: {anchor_state: /nonexistent/root.keys}\n", 2},
		{"no validation", "dnssec: {validate: false}\n", -1},
		{"another time", "dnssec: {validation_time: 2026-01-31T12:00:00Z}\n", -1},
		{"no anchor of the root", "dnssec: {trust_anchors: [\"example" + ds + "\"]}\n", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.ParseNode("proxima.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := -1
			if u, err := loadUpkeep(c, func(why error) { t.Error(why) }); err != nil {
				t.Fatal(err)
			} else if u != nil {
				got = len(u.Anchors)
			}
			if got != tt.keys {
				t.Errorf("%d anchors, want %d", got, tt.keys)
			}
		})
	}
}

func TestKept(t *testing.T) {
	const digest = " 0000000000000000000000000000000000000000000000000000000000000000"
	anchors := func(t *testing.T, texts ...string) []*dns.DS {
		t.Helper()
		all, err := readAnchors(texts)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	root, other := ". IN DS 1 13 2"+digest, "example. IN DS 2 13 2"+digest
	revoked := anchor.Begin(".", anchors(t, root))
	revoked.Anchors = nil
	learned := anchor.Begin(".", anchors(t, root))
	learned.Anchors = anchors(t, ". IN DS 3 13 2"+digest)
	tests := []struct {
		name   string
		upkeep *anchor.Upkeep
		want   string // key tags
	}{
		{"as they are when nothing is kept up to date", nil, "1 2"},
		{"the root's as the upkeep has them", &learned, "2 3"},
		{"those of other zones when none of the root's is left", &revoked, "2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, ds := range kept(anchors(t, root, other), tt.upkeep) {
				got = append(got, strconv.Itoa(int(ds.KeyTag)))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("tags %v, want %s", got, tt.want)
			}
		})
	}
}

func TestReadAnchors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "anchors")
	const text = "; two zones\n. IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n" +
		"example. 3600 IN DS 2 13 2 0000000000000000000000000000000000000000000000000000000000000000\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if ds, err := readAnchors([]string{file}); err != nil || len(ds) != 2 || ds[1].Hdr.Name != "example." {
		t.Errorf("from a file: %v, %v", ds, err)
	}
	if _, err := readAnchors([]string{"/nonexistent"}); err == nil || !strings.HasPrefix(err.Error(), "dnssec.trust_anchors[0]: ") {
		t.Errorf("error %v, want one that names the key", err)
	}
}
