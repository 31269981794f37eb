package netsetup

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO of linux/if_addr.h, an octet. Kernels before 5.18
// ignore it, and the netlink library neither sends nor reads it: therefore
// addresses are written and read here.
const ifaProto = 11

// forever is the kernel's lifetime without end.
const forever = 0xffffffff

// AddAddress adds a. A deprecated address gets the preferred lifetime 0.
func (kernel) AddAddress(a Address) error {
	life := nl.IfaCacheInfo{}
	life.Valid, life.Prefered = forever, forever
	if a.Flags&unix.IFA_F_DEPRECATED != 0 {
		life.Prefered = 0
	}
	flags := binary.NativeEndian.AppendUint32(nil, a.Flags&^unix.IFA_F_DEPRECATED)
	req := addressRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
	req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, flags))
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	req.AddData(nl.NewRtAttr(ifaProto, []byte{a.Protocol}))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// RemoveAddress removes a.
func (kernel) RemoveAddress(a Address) error {
	_, err := addressRequest(unix.RTM_DELADDR, 0, a).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// addressRequest starts a request about a.
func addressRequest(verb, flags int, a Address) *nl.NetlinkRequest {
	msg := nl.NewIfAddrmsg(family(a.Prefix.Addr().Is6()))
	msg.Prefixlen = uint8(a.Prefix.Bits())
	msg.Scope = a.Scope
	msg.Index = uint32(a.Link)
	req := nl.NewNetlinkRequest(verb, flags|unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, a.Prefix.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, a.Prefix.Addr().AsSlice()))
	return req
}

// Addresses returns the addresses of all links.
func (kernel) Addresses() (all []Address, err error) {
	err = dump(func() error {
		all = nil
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
		if err != nil {
			return err
		}
		for _, m := range messages {
			a, err := parseAddress(m)
			if err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

// parseAddress reads the body of an RTM_NEWADDR message.
func parseAddress(m []byte) (Address, error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return Address{}, fmt.Errorf("netsetup: address message of %d octets", len(m))
	}
	msg := nl.DeserializeIfAddrmsg(m)
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
	if err != nil {
		return Address{}, fmt.Errorf("netsetup: address message: %w", err)
	}
	a := Address{Link: int(msg.Index), Scope: msg.Scope, Flags: uint32(msg.Flags), Forever: true}
	var local, address netip.Addr // they differ on point-to-point links, where address is the peer's
	for _, attr := range attrs {
		v := attr.Value
		switch {
		case attr.Attr.Type == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case attr.Attr.Type == unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(v)
		case attr.Attr.Type == unix.IFA_FLAGS && len(v) >= 4:
			a.Flags = binary.NativeEndian.Uint32(v)
		case attr.Attr.Type == unix.IFA_CACHEINFO && len(v) >= unix.SizeofIfaCacheinfo:
			a.Forever = nl.DeserializeIfaCacheInfo(v).Valid == forever
		case attr.Attr.Type == ifaProto && len(v) >= 1:
			a.Protocol = v[0]
		}
	}
	if !local.IsValid() {
		local = address
	}
	if a.Prefix = netip.PrefixFrom(local, int(msg.Prefixlen)); !a.Prefix.IsValid() {
		return Address{}, fmt.Errorf("netsetup: address message without an address")
	}
	return a, nil
}
