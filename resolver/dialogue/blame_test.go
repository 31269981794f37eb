package dialogue

import (
	"fmt"
	"io"
	"syscall"
	"testing"

	"proxima/resolver/selection"
)

func TestBlame(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		outcome selection.Outcome
		theirs  bool
	}{
		{"a refused connection is the server's word", syscall.ECONNREFUSED, selection.Broken, true},
		{"so is one that it resets", syscall.ECONNRESET, selection.Broken, true},
		{"no route is the network's word", syscall.ENETUNREACH, selection.Refused, true},
		{"nor is an address that this host lacks any server's", syscall.EADDRNOTAVAIL, selection.Refused, true},
		{"nor is a filter of this host", syscall.EPERM, selection.Refused, true},
		{"no free port here is no server's fault", syscall.EADDRINUSE, 0, false},
		{"a stream that ends early is broken", io.ErrUnexpectedEOF, selection.Broken, true},
		{"no descriptor here is no server's fault", syscall.EMFILE, 0, false},
		{"no buffers here is no server's fault", syscall.ENOBUFS, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outcome, theirs := blame(fmt.Errorf("upstream: %w", tt.err))
			if outcome != tt.outcome || theirs != tt.theirs {
				t.Errorf("blame = %v, %t, want %v, %t", outcome, theirs, tt.outcome, tt.theirs)
			}
		})
	}
}
