package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A kind says how the text of a scalar becomes a value.
type kind[T any] struct {
	allowed string // for the message
	tag     string // YAML type that the scalar must have; empty = any but null
	// parse returns the value, or what is wrong with the text as the end of a
	// sentence that begins with it ("is not allowed").
	parse func(text string) (value T, wrong string)
}

// refused is what most faulty values are.
const refused = "is not allowed"

// read returns the value of a node, or the zero value after noting the problem.
func (k kind[T]) read(r *reader, key string, node *yaml.Node) (T, bool) {
	var zero T
	tag := node.ShortTag()
	if node.Kind != yaml.ScalarNode || tag == "!!null" || k.tag != "" && tag != k.tag {
		reason := "is " + describe(node)
		if node.Kind == yaml.ScalarNode && k.tag == "!!str" && tag != "!!null" {
			reason += ", to be written in quotes"
		}
		r.faultAt(node.Line, key, reason, k.allowed)
		return zero, false
	}
	value, wrong := k.parse(node.Value)
	if wrong != "" {
		r.faultAt(node.Line, key, show(node.Value)+" "+wrong, k.allowed)
		return zero, false
	}
	return value, true
}

// orEmpty also allows the empty text, which is the zero value.
func orEmpty[T any](k kind[T]) kind[T] {
	parse := k.parse
	k.allowed = `"" or ` + k.allowed
	k.parse = func(text string) (value T, wrong string) {
		if text == "" {
			return value, ""
		}
		return parse(text)
	}
	return k
}

// boolean is true or false, and none of YAML's other spellings.
var boolean = kind[bool]{"true or false", "!!bool", func(text string) (bool, string) {
	if text != "true" && text != "false" {
		return false, refused
	}
	return text == "true", ""
}}

// decimal reads a number of so many bits. A leading zero is refused: in YAML
// and elsewhere it makes the number octal, so that two readers would differ.
func decimal(text string, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, bits)
	return n, err == nil && (text == "0" || text[0] != '0')
}

func number[T ~int | ~uint16 | ~uint32](from, to uint64) kind[T] {
	return kind[T]{fmt.Sprintf("%d to %d", from, to), "!!int", func(text string) (T, string) {
		n, ok := decimal(text, 64)
		if !ok || n < from || n > to {
			return 0, refused
		}
		return T(n), ""
	}}
}

func choice(words ...string) kind[string] {
	return kind[string]{strings.Join(words, ", "), "", func(text string) (string, string) {
		if !slices.Contains(words, text) {
			return "", refused
		}
		return text, ""
	}}
}

func duration(from, to time.Duration) kind[time.Duration] {
	allowed := fmt.Sprintf("%s to %s (units h, m, s, ms)", brief(from), brief(to))
	return kind[time.Duration]{allowed, "", func(text string) (time.Duration, string) {
		d, err := time.ParseDuration(text)
		switch {
		case text != "" && strings.Trim(text, "0123456789.") == "":
			return 0, "has no unit"
		case err != nil:
			return 0, "is not a duration"
		case d < from || d > to:
			return 0, refused
		}
		return d, ""
	}}
}

// brief writes a duration without the zero units that time.Duration appends.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// units are the sizes of memory, in octets.
var units = []struct {
	name   string
	octets int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

func size(allowed string, from, to int64) kind[int64] {
	return kind[int64]{allowed + " (units KiB, MiB, GiB, TiB)", "", func(text string) (int64, string) {
		for _, u := range units {
			digits, found := strings.CutSuffix(text, u.name)
			if !found {
				continue
			}
			n, ok := decimal(digits, 63)
			if !ok || n > uint64(to/u.octets) || int64(n)*u.octets < from {
				return 0, refused
			}
			return int64(n) * u.octets, ""
		}
		return 0, "is not a whole number with a unit"
	}}
}

var address = kind[netip.Addr]{"an IPv4 or IPv6 address", "", func(text string) (netip.Addr, string) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, "is not an address"
	case a.Zone() != "":
		return netip.Addr{}, "has a zone"
	case a.Is4In6():
		return netip.Addr{}, "is an IPv4 address in IPv6 form"
	}
	return a, ""
}}

// only narrows a kind of address to those that are fit.
func only(fit func(netip.Addr) bool, allowed string) kind[netip.Addr] {
	return kind[netip.Addr]{allowed, "", func(text string) (netip.Addr, string) {
		a, wrong := address.parse(text)
		if wrong == "" && !fit(a) {
			wrong = refused
		}
		return a, wrong
	}}
}

var (
	bindable = only(func(a netip.Addr) bool { return !a.IsMulticast() }, "an IPv4 or IPv6 address, 0.0.0.0 or ::")
	unicast  = only(func(a netip.Addr) bool { return !a.IsMulticast() && !a.IsUnspecified() }, "a unicast address")
	ipv4     = only(func(a netip.Addr) bool { return a.Is4() && !a.IsMulticast() && !a.IsUnspecified() }, "an IPv4 address")
	ipv6     = only(func(a netip.Addr) bool { return a.Is6() && !a.IsMulticast() && !a.IsUnspecified() }, "an IPv6 address")
)

var prefix = kind[netip.Prefix]{"an IPv4 or IPv6 prefix", "", func(text string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil && !strings.Contains(text, "/"):
		return netip.Prefix{}, "has no /length"
	case err != nil:
		return netip.Prefix{}, "is not a prefix"
	case p.Addr().Is4In6():
		return netip.Prefix{}, "is an IPv4 prefix in IPv6 form"
	case p != p.Masked():
		return netip.Prefix{}, "has bits beyond its length, " + p.Masked().String() + " has not"
	}
	return p, ""
}}

// serviceAddress is one address written as a prefix of full length.
var serviceAddress = kind[netip.Prefix]{"a global address with /32 or /128", "", func(text string) (netip.Prefix, string) {
	p, wrong := prefix.parse(text)
	if wrong == "" && (!p.IsSingleIP() || !p.Addr().IsGlobalUnicast()) {
		wrong = refused
	}
	return p, wrong
}}

// announced is a prefix that may be asked of a BGP speaker.
var announced = kind[netip.Prefix]{"a unicast prefix", "", func(text string) (netip.Prefix, string) {
	p, wrong := prefix.parse(text)
	if wrong == "" && (p.Bits() == 0 || !p.Addr().IsGlobalUnicast()) {
		wrong = refused
	}
	return p, wrong
}}

var addressPort = kind[netip.AddrPort]{"an address with a port, like 127.0.0.1:9153 or [::1]:9153", "",
	func(text string) (netip.AddrPort, string) {
		a, err := netip.ParseAddrPort(text)
		if err != nil || a.Port() == 0 || a.Addr().Zone() != "" || a.Addr().Is4In6() || a.Addr().IsMulticast() {
			return netip.AddrPort{}, refused
		}
		return a, ""
	}}

// dnsPort is where a DNS server listens unless something else is said.
const dnsPort = 53

// nameserver is an address, with a port after @ if it is not 53.
var nameserver = kind[netip.AddrPort]{"a unicast address, with a port after @ if it is not 53", "",
	func(text string) (netip.AddrPort, string) {
		host, port, given := strings.Cut(text, "@")
		n := uint64(dnsPort)
		if given {
			var ok bool
			if n, ok = decimal(port, 16); !ok || n == 0 {
				return netip.AddrPort{}, "has no good port"
			}
		}
		a, wrong := unicast.parse(host)
		return netip.AddrPortFrom(a, uint16(n)), wrong
	}}

// filePath is the path of a file or socket, which must not depend on where the
// daemon was started.
var filePath = kind[string]{"an absolute path", "!!str", func(text string) (string, string) {
	if !filepath.IsAbs(text) || strings.ContainsRune(text, 0) {
		return "", refused
	}
	return filepath.Clean(text), ""
}}

// maxSocket is the longest path of a Unix socket, in octets: sun_path holds
// 108 with the final zero (unix(7)).
const maxSocket = 107

var socketPath = kind[string]{"an absolute path of at most 107 octets", "!!str", func(text string) (string, string) {
	path, wrong := filePath.parse(text)
	if wrong == "" && len(path) > maxSocket {
		wrong = "is too long"
	}
	return path, wrong
}}

// maxLabel and maxName bound a domain name in octets, RFC 1035 section 2.3.4.
const (
	maxLabel = 63
	maxName  = 255
)

// zoneName is a domain name in letters, digits, hyphens and underscores. The value
// is in lower case and ends in a dot.
var zoneName = kind[string]{"a domain name", "!!str", func(text string) (string, string) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if text == "." {
		return ".", ""
	}
	if len(name)+2 > maxName {
		return "", "is too long"
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > maxLabel || !made(label, "-_") {
			return "", "is not a domain name"
		}
	}
	return name + ".", ""
}}

// maxToken bounds identifiers, in octets. Fixed at 64, the longest host name
// of Linux (HOST_NAME_MAX).
const maxToken = 64

// token is a short name that can stand in logs, metrics and DNS as it is.
var token = kind[string]{"1 to 64 letters, digits, dots, hyphens and underscores", "!!str",
	func(text string) (string, string) {
		if text == "" || len(text) > maxToken || !made(text, ".-_") {
			return "", refused
		}
		return text, ""
	}}

// maxLink is the longest name of a network interface, in octets: IFNAMSIZ is
// 16 with the final zero (linux/if.h).
const maxLink = 15

var linkName = kind[string]{"the name of a network interface, 1 to 15 characters", "!!str",
	func(text string) (string, string) {
		if len(text) == 0 || len(text) > maxLink || !made(text, ".-_") || text == "." || text == ".." {
			return "", refused
		}
		return text, ""
	}}

// made reports whether text consists of ASCII letters, digits and others.
func made(text, others string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

var logLevel = choice("debug", "info", "warn", "error")

var moment = kind[time.Time]{"a time of RFC 3339, like 2026-01-31T12:00:00Z", "",
	func(text string) (time.Time, string) {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return time.Time{}, refused
		}
		return at, ""
	}}
