package disk

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Open opens a file to be read, which has to be a regular one. It waits for
// nobody: to open a FIFO would be to wait until somebody writes to it, a device
// may have no end, and a terminal would become ours. Of such the error names the
// file and what it is.
func Open(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(file, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// regular returns an error that says what a file is, unless it is a regular one.
func regular(file string, info fs.FileInfo) error {
	what := "something else"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a FIFO"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	}
	return fmt.Errorf("%s: is %s, not a regular file", file, what)
}
