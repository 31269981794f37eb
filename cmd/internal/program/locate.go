package program

import (
	"errors"
	"fmt"
	"strings"

	"proxima/config"
)

// Find returns what an error says as a problem of the file, if it begins with a
// key that the file has, or with the room that has found it and such a key.
func Find(err error, lines config.Lines) (config.Problem, bool) {
	if err == nil {
		return config.Problem{}, false
	}
	return lines.Find(errors.New(roomless(err)))
}

// Locate says an error with the line of the key that it begins with. If the file
// has no such key, it is about this host.
func Locate(err error, lines config.Lines) string {
	if p, ok := Find(err, lines); ok {
		return p.String()
	}
	return fmt.Sprintf("this host: %s", roomless(err))
}

// roomless is an error without the name of the room, which says nothing to an
// operator.
func roomless(err error) string { return strings.TrimPrefix(err.Error(), "netsetup: ") }
