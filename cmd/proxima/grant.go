package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// grant gives the file of a program the two capabilities that serve needs
// under a user other than root: CAP_NET_ADMIN for the anycast addresses and
// CAP_NET_BIND_SERVICE for port 53. It does what "setcap
// cap_net_admin,cap_net_bind_service=ep" does, for images without tools.
func grant(file string) error {
	// struct vfs_cap_data of linux/capability.h, revision 2: always little
	// endian; the capabilities from 32 up and the inheritable ones are none.
	const flags = 0x02000000 | 0x000001 // VFS_CAP_REVISION_2, VFS_CAP_FLAGS_EFFECTIVE
	var data [20]byte
	binary.LittleEndian.PutUint32(data[0:], flags)
	binary.LittleEndian.PutUint32(data[4:], 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_BIND_SERVICE)

	err := unix.Setxattr(file, "security.capability", data[:], 0)
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: CAP_SETFCAP is needed, which root has", file, err)
	case errors.Is(err, unix.ENOTSUP):
		return fmt.Errorf("%s: %w: its file system keeps no capabilities", file, err)
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
