package netsetup

import (
	"context"
	"errors"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Events subscribes to changes in the namespace of the calling thread. Links
// are among them because the kernel takes away the routes of a link that goes
// down without a word about the routes.
func (kernel) Events(ctx context.Context) (<-chan struct{}, error) {
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, sock.Close)
	go func() {
		defer close(changed)
		defer sock.Close()
		defer stop()
		signal(sock, changed)
	}()
	return changed, nil
}

// signal writes to changed whenever sock tells of something that concerns us,
// until sock is closed or fails. A full channel needs no second signal.
func signal(sock *nl.NetlinkSocket, changed chan<- struct{}) {
	for {
		messages, from, err := sock.Receive()
		// ENOBUFS: we were too slow and the kernel dropped messages. The socket
		// goes on; what was lost may have concerned us.
		lost := errors.Is(err, unix.ENOBUFS)
		if err != nil && !lost {
			return
		}
		if !lost && (from.Pid != nl.PidKernel || !concerns(messages)) {
			continue
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// concerns reports whether a message is about links, addresses or the loss of a
// route of ours. On a router with a full Internet table the others are many.
func concerns(messages []syscall.NetlinkMessage) bool {
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWROUTE:
		case unix.RTM_DELROUTE:
			if len(m.Data) >= unix.SizeofRtMsg && nl.DeserializeRtMsg(m.Data).Protocol == Protocol {
				return true
			}
		default:
			return true
		}
	}
	return false
}
