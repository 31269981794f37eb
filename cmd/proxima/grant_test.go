package main

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGrant_writesWhatSetcapWrites(t *testing.T) {
	file := mustWrite(t, "")
	_, err := run("grant", file)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 64)
	n, err := unix.Getxattr(file, "security.capability", got)
	if err != nil {
		t.Fatal(err)
	}
	// What "setcap cap_net_admin,cap_net_bind_service=ep" leaves.
	want := []byte{1, 0, 0, 2, 0, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if !bytes.Equal(got[:n], want) {
		t.Errorf("security.capability = %x, want %x", got[:n], want)
	}
}

func TestGrant_namesTheFile(t *testing.T) {
	_, err := run("grant", "/nowhere/proxima")
	if !errors.Is(err, fs.ErrNotExist) || self().Describe(err) != "proxima: /nowhere/proxima: no such file or directory" {
		t.Errorf("grant = %v", err)
	}
}
