package main

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"proxima/cmd/internal/logging"
	"proxima/resolver/iterate"
)

func TestNoteRoot_tellsOfChangesAlone(t *testing.T) {
	server := func(name string, addrs ...string) (s iterate.Server) {
		s.Name = name
		for _, a := range addrs {
			s.Addrs = append(s.Addrs, netip.AddrPortFrom(netip.MustParseAddr(a), 53))
		}
		return s
	}
	core, lines := observer.New(zap.InfoLevel)
	d := &daemon{log: &logging.Log{Logger: zap.New(core)}}
	steps := []struct {
		name    string
		servers []iterate.Server
		want    []any // told; nil = nothing
	}{
		{"the first", []iterate.Server{server("b.example.", "192.0.2.2"), server("a.example.", "2001:db8::1", "192.0.2.1")},
			[]any{"a.example. 192.0.2.1 2001:db8::1", "b.example. 192.0.2.2"}},
		{"the same in another order", []iterate.Server{server("a.example.", "192.0.2.1", "2001:db8::1"), server("b.example.", "192.0.2.2")}, nil},
		{"another address", []iterate.Server{server("a.example.", "192.0.2.1", "2001:db8::1"), server("b.example.", "192.0.2.3")},
			[]any{"a.example. 192.0.2.1 2001:db8::1", "b.example. 192.0.2.3"}},
		{"one less", []iterate.Server{server("b.example.", "192.0.2.3")}, []any{"b.example. 192.0.2.3"}},
	}
	if at := d.roots.at.Load(); at != 0 {
		t.Errorf("learned at %d before anything was", at)
	}
	for _, step := range steps {
		d.roots.at.Store(0)
		d.noteRoot(slices.Clone(step.servers))
		var got []any
		for _, line := range lines.TakeAll() {
			got, _ = line.ContextMap()["servers"].([]any)
		}
		if !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: told %q, want %q", step.name, got, step.want)
		}
		if d.roots.at.Load() == 0 {
			t.Errorf("%s: the time was not noted", step.name)
		}
	}
}
