package resolver

import (
	"hash/maphash"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/resolver/iterate"
)

const (
	// minRefreshLife is how long an answer must live to be refreshed in the last
	// tenth of its life, if somebody asks for it then: 10 s, about BIND's number. A
	// tenth of less is over before a walk is.
	minRefreshLife = 10 * time.Second

	// spreadPart is the part of a life over which the refreshes of many names are
	// spread: a twentieth, half of the time there is, so that what was learned
	// together is not asked for together for ever.
	spreadPart = 20

	// maxRefreshes bounds the refreshing walks under way: 64, not configurable,
	// apart from the places of clients. However many names end together, servers
	// see no more at once.
	maxRefreshes = 64

	// maxDue bounds the answers that wait to be refreshed: 1,024, a second's work
	// for so many walks. One that finds no room is not refreshed: it ends, and the
	// next client's question has it walked for.
	maxDue = 1_024
)

// ends reports whether an answer is to be refreshed: it is ending, and has been
// for a moment that differs from name to name and from node to node.
func (r *Resolver) ends(a *cache.Answer, at time.Time) bool {
	if !a.Ending(at) || a.Life() < minRefreshLife {
		return false
	}
	moment := time.Duration(maphash.Bytes(r.seed, a.Name()) % 256)
	return a.Ending(at.Add(-a.Life() / spreadPart * moment / 256))
}

// handOver gives an answer to the refresher, once. It neither blocks nor
// allocates, as its callers must not.
func (r *Resolver) handOver(a *cache.Answer) {
	if !a.Claim() {
		return
	}
	select {
	case r.due <- a:
	default:
		r.counts.shed.Add(1)
	}
}

// retry has the question of a stale answer asked again, once for each failure
// that is over. It neither blocks nor allocates.
func (r *Resolver) retry(failure, stale *cache.Answer) {
	if failure.Claim() {
		select {
		case r.due <- stale:
		default:
			r.counts.shed.Add(1)
		}
	}
}

// refresh is the refresher: it begins a flight for each answer that it is given,
// as places become free, until Close.
func (r *Resolver) refresh() {
	for {
		select {
		case a := <-r.due:
			now := r.cache.Get(a.Name(), a.Type(), a.Class())
			// Another one if there is a newer; the same may lie elsewhere by now.
			if now != nil && now.Expires().Equal(a.Expires()) && r.takePlace() {
				r.renew(question{name: string(a.Name()), typ: a.Type()})
			}
		case <-r.ctx.Done():
			return
		}
	}
}

// takePlace waits for the place of a refreshing flight. It is false after Close.
func (r *Resolver) takePlace() bool {
	select {
	case r.places <- struct{}{}:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// renew begins a flight in a place that was taken for it, unless there is one
// for the question. It is a walk like others, on the leases that the parents
// have granted: what was taken from its owner is not kept alive (ghost domains,
// CVE-2022-30698). If it fails, the answer that is there stays until it ends.
func (r *Resolver) renew(key question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.flights[key] != nil {
		<-r.places
		return
	}
	r.begin(&flight{key: key, purse: iterate.NewBudget(), began: clock.Now(), refresh: true})
}
