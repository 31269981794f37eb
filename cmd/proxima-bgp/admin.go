package main

import (
	"fmt"
	"time"

	"proxima/bgpctl/sidecar"
	"proxima/cmd/internal/admin"
)

// staleStatus is the age from which the status shows that the sidecar's loop
// stands still. It is renewed ten times a second, but for the 2 s that a call
// of the speaker may take.
const staleStatus = 3 * time.Second

// fillAdmin says what the admin server answers.
func fillAdmin(a *admin.Server, r room) {
	a.Metrics(newRegistry(r))
	a.Answer("/healthz", func() (string, bool) { return admin.Word(healthy(r.sidecar.Status(), time.Now())) })
}

// healthy reports why this process should be started anew, or nil. A node
// without a lease or a router that is away is no reason.
func healthy(s sidecar.Status, at time.Time) error {
	if age := at.Sub(s.At); age > staleStatus {
		return fmt.Errorf("the sidecar has stood still for %v", age.Round(time.Second))
	}
	return nil
}
