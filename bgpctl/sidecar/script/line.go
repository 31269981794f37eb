package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"proxima/bgpctl/sidecar"
)

// announcement is r as ExaBGP reads it. asn is our own.
func announcement(r sidecar.Route, asn uint32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "announce route %v next-hop %s", r.Prefix, nextHop(r))
	if r.MED > 0 {
		fmt.Fprintf(&b, " med %d", r.MED)
	}
	if len(r.Communities) > 0 {
		list := make([]string, 0, len(r.Communities))
		for _, c := range r.Communities {
			list = append(list, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
		}
		fmt.Fprintf(&b, " community [%s]", strings.Join(list, " "))
	}
	if len(r.LargeCommunities) > 0 {
		list := make([]string, 0, len(r.LargeCommunities))
		for _, c := range r.LargeCommunities {
			list = append(list, fmt.Sprintf("%d:%d:%d", c.ASN, c.Data1, c.Data2))
		}
		fmt.Fprintf(&b, " large-community [%s]", strings.Join(list, " "))
	}
	if r.Prepend > 0 { // the whole path, since ExaBGP adds nothing to one it is given
		path := slices.Repeat([]string{strconv.FormatUint(uint64(asn), 10)}, 1+r.Prepend)
		fmt.Fprintf(&b, " as-path [%s]", strings.Join(path, " "))
	}
	return b.String()
}

// withdrawal has the next hop, too: ExaBGP wants it.
func withdrawal(r sidecar.Route) string {
	return fmt.Sprintf("withdraw route %v next-hop %s", r.Prefix, nextHop(r))
}

func nextHop(r sidecar.Route) string {
	if !r.NextHop.IsValid() {
		return "self"
	}
	return r.NextHop.String()
}
