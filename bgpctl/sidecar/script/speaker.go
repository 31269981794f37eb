// Package script announces routes by running a program of the operator's.
//
// Set writes what is to change as lines of ExaBGP's text API, and runs the
// program once for all of them with the lines on its standard input: a script
// reads them one by one, xargs makes arguments of them, and tee hands them to
// ExaBGP's pipe. It has ended with status 0 when every line has taken effect.
// A second program, if there is one, prints what is announced, and Set compares.
//
// The first Set, and each one after a failure, says every line, since nobody
// knows what is announced then.
package script

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
)

// limit bounds one Set, both programs together. 1.5 s, not configurable: the
// sidecar gives up, and ends, after 2 s.
const limit = 1500 * time.Millisecond

// Options says what to run.
type Options struct {
	Command []string        // the program, with an absolute path, and its arguments; no shell sees them
	Show    []string        // one that prints what is announced; empty = the exit status is believed
	ASN     uint32          // our own, of which paths are made
	Groups  []sidecar.Group // all that may be announced, and so has to be withdrawn at first
	Log     *zap.Logger     // nil = none
}

// Check says what New would refuse, and runs nothing.
func (o Options) Check() error {
	if o.ASN == 0 {
		return errors.New("exec: no ASN")
	}
	if err := runnable(o.Command); err != nil {
		return fmt.Errorf("exec: command: %w", err)
	}
	if len(o.Show) == 0 {
		return nil
	}
	if err := runnable(o.Show); err != nil {
		return fmt.Errorf("exec: show: %w", err)
	}
	return nil
}

func runnable(argv []string) error {
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
		return errors.New("does not begin with an absolute path")
	}
	return executable(argv[0])
}

// A Speaker runs the program. It implements sidecar.Speaker.
type Speaker struct {
	o     Options                        // immutable after New, like all
	all   map[netip.Prefix]sidecar.Route // of the groups, as far as a withdrawal needs them
	log   *zap.Logger
	have  map[netip.Prefix]sidecar.Route // owned by Set: what the program has been told
	known bool                           // owned by Set: have is what is announced
}

// New returns a speaker that has not run anything yet.
func New(o Options) (*Speaker, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Speaker{o: o, all: make(map[netip.Prefix]sidecar.Route), log: o.Log}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	for _, g := range o.Groups {
		for _, p := range g.Prefixes {
			hop := g.NextHop.IPv4
			if p.Addr().Is6() {
				hop = g.NextHop.IPv6
			}
			s.all[p] = sidecar.Route{Prefix: p, NextHop: hop}
		}
	}
	return s, nil
}

// Set implements sidecar.Speaker.
func (s *Speaker) Set(ctx context.Context, routes []sidecar.Route) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	want := make(map[netip.Prefix]sidecar.Route, len(routes))
	for _, r := range routes {
		want[r.Prefix] = r
	}
	lines := s.changes(want)
	if len(lines) > 0 {
		s.known = false
		if err := s.tell(ctx, lines); err != nil {
			return fmt.Errorf("exec: %w", err)
		}
	}
	if err := s.readBack(ctx, want); err != nil {
		s.known = false
		return fmt.Errorf("exec: read back: %w", err)
	}
	s.have, s.known = want, true
	return nil
}

// changes returns the lines that lead to want: announcements first.
func (s *Speaker) changes(want map[netip.Prefix]sidecar.Route) []string {
	var announce, withdraw []string
	for prefix, r := range want {
		if have, ok := s.have[prefix]; !s.known || !ok || !have.Equal(r) {
			announce = append(announce, announcement(r, s.o.ASN))
		}
	}
	have := s.have
	if !s.known {
		have = s.all
	}
	for prefix, r := range have {
		if _, ok := want[prefix]; !ok {
			withdraw = append(withdraw, withdrawal(r))
		}
	}
	slices.Sort(announce)
	slices.Sort(withdraw)
	return append(announce, withdraw...)
}

func (s *Speaker) tell(ctx context.Context, lines []string) error {
	said, err := run(ctx, s.o.Command, strings.Join(lines, "\n")+"\n")
	if err != nil {
		return err
	}
	s.log.Debug("command ran", zap.Strings("lines", lines), zap.String("output", brief(said)))
	return nil
}

// readBack looks for the prefixes of the groups, as words, in what Show prints.
func (s *Speaker) readBack(ctx context.Context, want map[netip.Prefix]sidecar.Route) error {
	if len(s.o.Show) == 0 {
		return nil
	}
	said, err := run(ctx, s.o.Show, "")
	if err != nil {
		return err
	}
	shown := make(map[netip.Prefix]bool)
	for word := range strings.FieldsSeq(said) {
		if p, err := netip.ParsePrefix(word); err == nil {
			shown[p] = true
		}
	}
	for prefix := range s.all {
		_, wanted := want[prefix]
		switch {
		case wanted && !shown[prefix]:
			return fmt.Errorf("%v is not announced", prefix)
		case !wanted && shown[prefix]:
			return fmt.Errorf("%v is announced", prefix)
		}
	}
	return nil
}

// Close withdraws.
func (s *Speaker) Close(ctx context.Context) error { return s.Set(ctx, nil) }
