//go:build testclock

package clock

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// longestNap bounds a sleep in Wait, so that it notices that the clock was moved.
const longestNap = 50 * time.Millisecond

// At returns what this clock shows when the system's shows t. Without a file
// that says something else it is the same. It panics if the file says nonsense:
// this is a test.
func At(t time.Time) time.Time {
	file := os.Getenv("PROXIMA_CLOCK_OFFSET_FILE")
	if file == "" {
		return t
	}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return t
	}
	if err != nil {
		panic("clock: " + err.Error())
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		panic("clock: " + file + ": want +N or -N seconds: " + err.Error())
	}
	return t.Add(time.Duration(seconds) * time.Second)
}
