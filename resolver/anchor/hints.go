package anchor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

const (
	// maxHintsSize bounds a hints file, in octets, so that a wrong path does
	// not fill the memory. The file that IANA publishes has 3,300.
	maxHintsSize = 64 << 10

	// maxServers bounds the servers of a hints file. The root has 13, which is
	// also how many servers of one zone a walk considers.
	maxServers = 13

	// maxAddresses bounds the addresses of one server: as many as a walk uses.
	// Each root server has 2.
	maxAddresses = 6
)

// ReadHints reads a hints file: the NS records of the root and the addresses
// of the servers they name, as zone-file text (RFC 1035 section 5) without
// $INCLUDE. The servers come in the order of their NS records. An error names
// the line.
func ReadHints(r io.Reader) ([]Server, error) {
	var h hints
	lines := &lineReader{r: bufio.NewReader(io.LimitReader(r, maxHintsSize+1))}
	parser := dns.NewZoneParser(lines, ".", "")
	parser.SetDefaultTTL(0) // a hint's TTL means nothing, so it may be missing
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if err := h.add(rr, lines.last); err != nil {
			return nil, fmt.Errorf("anchor: line %d: %w", lines.last, err)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("anchor: line %d: %w", lines.last, err)
	}
	return h.servers()
}

// hints are the records of a hints file, each with the line it stands on.
type hints struct {
	names     []hint[string]     // targets of the root's NS records
	addresses []hint[netip.Addr] // by owner, in the order of the file
}

// A hint is one record of a hints file.
type hint[T any] struct {
	owner string
	value T
	line  int
}

// add takes in one record.
func (h *hints) add(rr dns.RR, line int) error {
	owner := dns.CanonicalName(rr.Header().Name)
	if rr.Header().Class != dns.ClassINET {
		return fmt.Errorf("class %s in a hints file, want IN", dns.Class(rr.Header().Class))
	}
	switch rr := rr.(type) {
	case *dns.NS:
		return h.addName(owner, dns.CanonicalName(rr.Ns), line)
	case *dns.A:
		return h.addAddress(owner, rr.A, line)
	case *dns.AAAA:
		return h.addAddress(owner, rr.AAAA, line)
	default:
		return fmt.Errorf("%s record in a hints file, want NS, A or AAAA", dns.Type(rr.Header().Rrtype))
	}
}

func (h *hints) addName(owner, target string, line int) error {
	if owner != "." {
		return fmt.Errorf("NS record of %s, want one of the root", owner)
	}
	if slices.ContainsFunc(h.names, func(n hint[string]) bool { return n.value == target }) {
		return nil
	}
	if len(h.names) == maxServers {
		return fmt.Errorf("more than %d servers", maxServers)
	}
	h.names = append(h.names, hint[string]{owner, target, line})
	return nil
}

func (h *hints) addAddress(owner string, ip net.IP, line int) error {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return errors.New("address is missing")
	}
	if addr.Unmap().IsMulticast() || addr.Unmap().IsUnspecified() {
		return fmt.Errorf("address %s is not a unicast address", addr.Unmap())
	}
	if len(h.addresses) == maxServers*maxAddresses {
		return fmt.Errorf("more than %d addresses", maxServers*maxAddresses)
	}
	h.addresses = append(h.addresses, hint[netip.Addr]{owner, addr.Unmap(), line})
	return nil
}

// servers joins names and addresses. An address without a name and a name
// without an address are errors: one of the two is misspelt.
func (h *hints) servers() ([]Server, error) {
	if len(h.names) == 0 {
		return nil, errors.New("anchor: no NS record of the root")
	}
	servers := make([]Server, len(h.names))
	index := make(map[string]*Server, len(h.names))
	for i, n := range h.names {
		servers[i].Name = n.value
		index[n.value] = &servers[i]
	}
	for _, a := range h.addresses {
		s := index[a.owner]
		switch {
		case s == nil:
			return nil, fmt.Errorf("anchor: line %d: address of %s, which is not a server of the root", a.line, a.owner)
		case slices.Contains(s.Addrs, a.value):
		case len(s.Addrs) == maxAddresses:
			return nil, fmt.Errorf("anchor: line %d: more than %d addresses of %s", a.line, maxAddresses, a.owner)
		default:
			s.Addrs = append(s.Addrs, a.value)
		}
	}
	for i, n := range h.names {
		if len(servers[i].Addrs) == 0 {
			return nil, fmt.Errorf("anchor: line %d: no address of %s", n.line, n.value)
		}
	}
	return servers, nil
}

// errTooLong ends the reading of a file that cannot be a hints file.
var errTooLong = fmt.Errorf("more than %d octets", maxHintsSize)

// A lineReader hands out octets one at a time and knows the line of the last
// one. The parser reads no further than the end of the record it returns.
type lineReader struct {
	r      *bufio.Reader
	octets int
	last   int // line of the octet read last, from 1; 0 before the first
	breaks int // line ends read so far
}

// ReadByte implements io.ByteReader.
func (l *lineReader) ReadByte() (byte, error) {
	c, err := l.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if l.octets++; l.octets > maxHintsSize {
		return 0, errTooLong
	}
	l.last = l.breaks + 1
	if c == '\n' {
		l.breaks++
	}
	return c, nil
}

// Read implements io.Reader, which the parser's signature asks for. It reads
// one octet at a time, as the parser does.
func (l *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := l.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
