package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"proxima/config"
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
			if u, err := loadUpkeep(c, zap.NewNop()); err != nil {
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
