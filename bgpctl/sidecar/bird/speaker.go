// Package bird announces through BIRD 2 on this host, by one file that its
// configuration includes.
//
// Set writes two whole static protocols into the file, has BIRD read it on the
// control socket, and reads back the routes. They are in the file, because any
// configure would undo what is only said on the socket. An earlier process's
// file is replaced by the first Set, even while BIRD is down.
package bird

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"proxima/bgpctl/sidecar"
	"proxima/disk"
)

// limit bounds one Set: the sidecar gives up, and ends, after 2 s.
const limit = 1500 * time.Millisecond

// lookEvery is how soon a route that is not as it should be is looked at again:
// BIRD has answered when it has begun.
const lookEvery = 20 * time.Millisecond

// fileMode lets BIRD's user read the file.
const fileMode = 0o644

// Options says where BIRD is.
type Options struct {
	ASN    uint32 // our own, of which paths are made
	File   string // that BIRD includes
	Socket string // on which it is controlled
}

// A Speaker implements sidecar.Speaker.
type Speaker struct{ o Options }

// New returns a speaker that has not touched anything yet.
func New(o Options) *Speaker { return &Speaker{o} }

// Set implements sidecar.Speaker.
func (s *Speaker) Set(ctx context.Context, routes []sidecar.Route) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	text, want := s.text(routes)
	err := disk.Replace(s.o.File, fileMode, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("bird: %w", err)
	}
	if err := configure(ctx, s.o.Socket); err != nil {
		return fmt.Errorf("bird: %w", err)
	}
	for {
		have, err := s.readBack(ctx)
		if err == nil && slices.Equal(have, want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("bird: read back: it has %q, not %q", have, want), err)
		case <-time.After(lookEvery):
		}
	}
}

// families are the names of the channels.
var families = [2]string{"ipv4", "ipv6"}

// text returns what the file has to say, and what BIRD says of it then.
func (s *Speaker) text(routes []sidecar.Route) (text string, want []string) {
	var b strings.Builder
	b.WriteString("# Written by proxima-bgp.\n")
	for i, family := range families {
		fmt.Fprintf(&b, "protocol static proxima_%s {\n\t%s;\n", family, family)
		for _, r := range routes {
			if r.Prefix.Addr().Is6() != (i == 1) {
				continue
			}
			fmt.Fprintf(&b, "\troute %v blackhole {", r.Prefix)
			want = append(want, r.Prefix.String())
			var path, communities, large []string
			for range r.Prepend {
				fmt.Fprintf(&b, " bgp_path.prepend(%d);", s.o.ASN)
				path = append(path, fmt.Sprint(s.o.ASN))
			}
			for _, c := range r.Communities {
				fmt.Fprintf(&b, " bgp_community.add((%d,%d));", c>>16, c&0xffff)
				communities = append(communities, fmt.Sprintf("(%d,%d)", c>>16, c&0xffff))
			}
			for _, c := range r.LargeCommunities {
				fmt.Fprintf(&b, " bgp_large_community.add((%d,%d,%d));", c.ASN, c.Data1, c.Data2)
				large = append(large, fmt.Sprintf("(%d, %d, %d)", c.ASN, c.Data1, c.Data2))
			}
			for _, a := range []struct {
				name   string
				values []string
			}{{"as_path", path}, {"community", communities}, {"large_community", large}} {
				if len(a.values) > 0 {
					want = append(want, "BGP."+a.name+": "+strings.Join(a.values, " "))
				}
			}
			b.WriteString(" };\n")
		}
		b.WriteString("}\n")
	}
	return b.String(), want
}

// readBack returns the prefixes of our protocols, each with its attributes.
func (s *Speaker) readBack(ctx context.Context) ([]string, error) {
	var have []string
	for _, family := range families {
		lines, _, err := ask(ctx, s.o.Socket, "show route all protocol proxima_"+family)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			attribute := strings.TrimSpace(l)
			prefix, _, isRoute := strings.Cut(l, " ")
			switch {
			case strings.HasPrefix(attribute, "BGP."):
				have = append(have, attribute)
			case isRoute && strings.Contains(prefix, "/"):
				have = append(have, prefix)
			}
		}
	}
	return have, nil
}

// Close withdraws.
func (s *Speaker) Close(ctx context.Context) error { return s.Set(ctx, nil) }
