// Package memory plans how much of it the daemon takes.
//
// Find looks up what there is: the host's, or less if a cgroup says so. NewPlan
// divides it between the cache, all else and garbage. Set and Follow tell the Go
// runtime, unless the environment has done so.
package memory

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// others is what the process takes at most beside its answers, in octets:
	// 256 MiB, not configurable. Ten thousand clients that wait and four thousand
	// walks take some 200 MiB. If less were reserved for them, then under attack
	// nothing would be done but collect garbage.
	others = 256 << 20

	// garbagePart is the part of cache.memory that garbage may take besides when
	// the cache is full: a sixteenth, so that the process stays below 1.3 times
	// cache.memory and what little else there is. A collection looks at each chunk
	// of the cache, not at each answer: it takes some milliseconds.
	garbagePart = 16

	// leastGarbage is what garbage may take however small the cache is: 64 MiB, not
	// configurable. Walks make most of it, thousands for that much. A collection
	// takes a tenth of a second where the tables of zones and servers are full.
	leastGarbage = 64 << 20

	// mostGarbage is what garbage may take of memory that the cache does not use
	// yet: 128 MiB, not configurable. More would hardly save any collections.
	mostGarbage = 128 << 20

	// usablePart tenths of what this host or its cgroup has are planned with. The
	// rest is for what the Go runtime does not count: the program, and the kernel's
	// buffers of its sockets, which a cgroup counts, too.
	usablePart = 9

	// minGrow and maxGrow bound the growth of the heap after which garbage is
	// collected, in percent, GOGC: 5 is less than what garbagePart says of a full
	// cache; 400 is for an empty one.
	minGrow, maxGrow = 5, 400

	// idleHeap is what is live beside the answers when little happens: 24 MiB.
	idleHeap = 24 << 20

	// followEvery is how often the growth is set anew: 5 s, not configurable. A
	// cache does not fill much in that time.
	followEvery = 5 * time.Second
)

// A Room is the memory that a process may take.
type Room struct {
	Octets uint64 // 0 = unknown
	Whose  string // who says so: "host" or "cgroup"
}

// A Plan is how the Go runtime is to treat memory.
type Plan struct {
	limit int64 // octets, GOMEMLIMIT
	short bool  // the room is too small
	cache int64 // octets
	room  Room
}

// NewPlan divides a room, of which a cache takes so many octets.
func NewPlan(cache int64, room Room) Plan {
	p := Plan{limit: wanted(cache), cache: cache, room: room}
	if usable := int64(room.Octets / 10 * usablePart); room.Octets != 0 && usable < p.limit {
		p.limit, p.short = usable, true
	}
	return p
}

// wanted is what a process with such a cache takes.
func wanted(cache int64) int64 { return cache + garbage(cache, cache) + others }

// garbage is what garbage may take beside answers of so many octets.
func garbage(cache, answers int64) int64 {
	return max(cache/garbagePart, min(cache-answers, mostGarbage), leastGarbage)
}

// Warning says in what the cache does not fit, or nothing.
func (p Plan) Warning() string {
	if !p.short {
		return ""
	}
	return fmt.Sprintf("%d MiB need %d MiB with all else; the %s has %d MiB, of which %d can be used",
		p.cache>>20, wanted(p.cache)>>20, p.room.Whose, p.room.Octets>>20, p.limit>>20)
}

// Set has the Go runtime keep to the plan, but for what the environment says, and
// logs what holds from now on.
func (p Plan) Set(log *zap.Logger) {
	if w := p.Warning(); w != "" {
		log.Warn("cache.memory does not fit", zap.String("reason", w))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(p.limit)
	}
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		debug.SetGCPercent(maxGrow)
		gogc = fmt.Sprintf("%d to %d", minGrow, maxGrow)
	}
	log.Info("memory was planned", zap.Int64("cache", p.cache), zap.Uint64("room", p.room.Octets), zap.String("whose", p.room.Whose),
		zap.Int64("gomemlimit", debug.SetMemoryLimit(-1)), zap.String("gogc", gogc), zap.Int("gomaxprocs", runtime.GOMAXPROCS(0)))
}

// Follow sets, until ctx ends, the growth of the heap by how full the cache is, so
// that the process takes no more than is planned. Answers is what the answers
// take now, in octets.
func (p Plan) Follow(ctx context.Context, answers func() int64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for set := maxGrow; ; {
		if grow := p.grow(answers()); grow > set+set/10 || grow < set-set/10 { // each time stops the world for some microseconds
			debug.SetGCPercent(grow)
			set = grow
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// grow is the growth, in percent, for answers of so many octets.
func (p Plan) grow(answers int64) int {
	return int(min(max(100*garbage(p.cache, answers)/(idleHeap+answers), minGrow), maxGrow))
}

// Find returns what this process may take: the least that the host, its cgroup
// and those above it have.
func Find() Room { return find("/", host()) }

// find is Find for a host with so many octets, whose proc and sys are in root.
func find(root string, host uint64) Room {
	room := Room{host, "host"}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return room // no cgroups here
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3) // number, controllers, path: cgroups(7)
		if len(parts) != 3 {
			continue
		}
		dir, files := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		if parts[1] == "memory" {
			dir, files = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		} else if parts[1] != "" {
			continue
		}
		for _, file := range files {
			if n := leastLimit(filepath.Join(root, dir), parts[2], file); n != 0 && (room.Octets == 0 || n < room.Octets) {
				room = Room{n, "cgroup"}
			}
		}
	}
	return room
}

// leastLimit returns the least limit, in octets, that a file says in the
// directory of a cgroup and those above it, up to top; 0 if none says any. In a
// container the path may be the host's, and top already the cgroup.
func leastLimit(top, cgroup, file string) (least uint64) {
	for at := path.Clean("/" + cgroup); ; at = path.Dir(at) {
		text, err := os.ReadFile(filepath.Join(top, at, file))
		if err == nil {
			// "max" is no number.
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && (least == 0 || n < least) {
				least = n
			}
		}
		if at == "/" {
			return least
		}
	}
}

// host is the memory of this host, in octets; 0 = unknown.
func host() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
