package netsetup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// memory is a host in memory, as far as Links can see it.
type memory struct {
	ways   [2]way // immutable once used; index 1 is IPv6
	noMark bool   // a kernel before 5.18

	mu         sync.Mutex // guards the rest
	links      []Link
	addresses  []Address
	blackholes []netip.Prefix
	denied     error // what changes fail with
	noDummy    bool
	deaf       int // subscriptions that will be refused
	changes    int
	listeners  map[chan struct{}]bool
}

type way struct {
	link   int
	source netip.Addr
}

// newMemory returns a host with lo, down, and an uplink without addresses.
func newMemory() *memory {
	return &memory{
		links:     []Link{{Index: 1, Name: "lo"}, {Index: 2, Name: "eth0", Up: true}},
		listeners: make(map[chan struct{}]bool),
	}
}

func (m *memory) Interfaces() ([]Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.links), nil
}

func (m *memory) Addresses() ([]Address, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.addresses), nil
}

func (m *memory) Blackholes() ([]netip.Prefix, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.blackholes), nil
}

// change calls do, counts it and signals it.
func (m *memory) change(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied != nil {
		return m.denied
	}
	if err := do(); err != nil {
		return err
	}
	m.changes++
	for c := range m.listeners {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return nil
}

func (m *memory) AddDummy(name string) error {
	return m.change(func() error {
		if m.noDummy {
			return fmt.Errorf("%w: no dummy links", unix.EOPNOTSUPP)
		}
		m.links = append(m.links, Link{Index: len(m.links) + 1, Name: name, Ours: true})
		return nil
	})
}

func (m *memory) RemoveLink(index int) error {
	return m.change(func() error {
		m.links = slices.DeleteFunc(m.links, func(l Link) bool { return l.Index == index })
		return nil
	})
}

func (m *memory) RaiseLink(index int) error {
	return m.change(func() error {
		for i := range m.links {
			m.links[i].Up = m.links[i].Up || m.links[i].Index == index
		}
		return nil
	})
}

// Lower sets a link down, which empties it of IPv6, as the kernel does.
func (m *memory) Lower(index int) error {
	return m.change(func() error {
		for i := range m.links {
			m.links[i].Up = m.links[i].Up && m.links[i].Index != index
		}
		m.addresses = slices.DeleteFunc(m.addresses, func(a Address) bool {
			return a.Link == index && a.Prefix.Addr().Is6()
		})
		if index == 1 {
			m.blackholes = slices.DeleteFunc(m.blackholes, func(p netip.Prefix) bool { return p.Addr().Is6() })
		}
		return nil
	})
}

func (m *memory) AddAddress(a Address) error {
	return m.change(func() error {
		if m.noMark {
			a.Protocol = 0
		}
		for _, b := range m.addresses {
			if a.Link == b.Link && a.Prefix == b.Prefix {
				return unix.EEXIST
			}
		}
		m.addresses = append(m.addresses, a)
		return nil
	})
}

func (m *memory) RemoveAddress(a Address) error {
	return m.change(func() error {
		n := len(m.addresses)
		m.addresses = slices.DeleteFunc(m.addresses, func(b Address) bool {
			return a.Link == b.Link && a.Prefix == b.Prefix
		})
		if len(m.addresses) == n {
			return unix.EADDRNOTAVAIL
		}
		return nil
	})
}

func (m *memory) AddBlackhole(p netip.Prefix) error {
	return m.change(func() error {
		m.blackholes = append(m.blackholes, p)
		return nil
	})
}

func (m *memory) RemoveBlackhole(p netip.Prefix) error {
	return m.change(func() error {
		m.blackholes = slices.DeleteFunc(m.blackholes, func(q netip.Prefix) bool { return p == q })
		return nil
	})
}

func (m *memory) Way(v6 bool) (link int, source netip.Addr) {
	if v6 {
		return m.ways[1].link, m.ways[1].source
	}
	return m.ways[0].link, m.ways[0].source
}

func (m *memory) Events(ctx context.Context) (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf > 0 {
		m.deaf--
		return nil, unix.ENOBUFS
	}
	c := make(chan struct{}, 1)
	m.listeners[c] = true
	context.AfterFunc(ctx, func() { m.hangUp(c) })
	return c, nil
}

// hangUp ends a subscription, or all if c is nil.
func (m *memory) hangUp(c chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.listeners {
		if c == nil || c == l {
			delete(m.listeners, l)
			close(l)
		}
	}
}
