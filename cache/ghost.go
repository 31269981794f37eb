package cache

import (
	"math/bits"
	"sync/atomic"
)

// maxGhosts bounds the answers that are remembered after they had to leave.
// 65,536, not configurable: the names of four seconds of a flood, in 256 KiB. A
// cache that holds more than that needs no ghosts to tell a flood from what is
// asked for again.
const maxGhosts = 1 << 16

const ghostOctets = 4 // of each

// ghosts are the tags of answers that had to leave before anybody asked for them
// again. Who comes back while its ghost is there is known: had it stayed, it
// would have been used. Without them a flood that fills a small cache faster than
// names are asked for again would keep all of them from ever being used. A tag
// stands where its lower bits say, and a newer one takes its place.
type ghosts []atomic.Uint32

// newGhosts makes room for the ghosts of so many slots: twice as many at least,
// as a power of two.
func newGhosts(slots int64) ghosts {
	return make(ghosts, min(maxGhosts, 1<<bits.Len64(uint64(2*slots-1))))
}

func (g ghosts) note(tag uint32) { g[tag%uint32(len(g))].Store(tag) }

func (g ghosts) known(tag uint32) bool { return g[tag%uint32(len(g))].Load() == tag }
