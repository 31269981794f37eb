package dnssec

import "sync/atomic"

// What one client query may spend. A count of signatures bounds no time: 32 of
// P-384 take 18 ms, 32 of RSA-2048 take 0.9 ms. So a signature has a price, in
// tenths of what an RSA-2048 signature costs to verify (about 28 us).
const (
	// maxUnits bounds the signatures, good and bad: 460 RSA-2048 or 25 P-384, some
	// 13 ms. Ten P-384 zones one below the other need 23 for a denial by NSEC3.
	maxUnits = 4600

	// maxFailed bounds what wrong signatures may cost: 64 RSA-2048, some 2 ms. Key
	// and algorithm rolls leave a few, KeyTrap (CVE-2023-50387) thousands.
	maxFailed = 640

	// maxDigests bounds the keys that are digested for a DS, right and wrong. 64:
	// a dozen zones with two or three DS each; "HashTrap" wants thousands.
	maxDigests = 64

	// maxHashes bounds the SHA-1 blocks that NSEC3 may cost (CVE-2023-50868):
	// 128 hashes of 50 iterations and a short salt, under 1 ms.
	maxHashes = 128 * 51
)

// A Work is what one client query may spend on cryptography, over all its
// sub-questions and restarts. It is never refilled. It may be used by many
// goroutines.
type Work struct {
	rules Rules // immutable after NewWork

	units, failed, digests, hashes purse
}

// NewWork returns the full purse of one client query.
func NewWork(r Rules) *Work {
	w := &Work{rules: r}
	w.units.left.Store(maxUnits)
	w.failed.left.Store(maxFailed)
	w.digests.left.Store(maxDigests)
	w.hashes.left.Store(maxHashes)
	return w
}

// signature pays for verifying one signature, before it is done. It refuses
// when too little is left, or when wrong signatures have cost enough.
func (w *Work) signature(price int) bool {
	return w.failed.left.Load() > 0 && w.units.take(price)
}

// wrong notes that the signature paid for with price was wrong. The last one
// may overdraw the purse, since nobody knew before.
func (w *Work) wrong(price int) { w.failed.left.Add(-int64(price)) }

// digest pays for the digest of one key.
func (w *Work) digest() bool { return w.digests.take(1) }

// hash pays for an NSEC3 hash of so many SHA-1 blocks.
func (w *Work) hash(blocks int) bool { return w.hashes.take(blocks) }

// A purse holds what is left.
type purse struct{ left atomic.Int64 }

// take takes n if so much is left, else nothing.
func (p *purse) take(n int) bool {
	for {
		left := p.left.Load()
		if left < int64(n) {
			return false
		}
		if p.left.CompareAndSwap(left, left-int64(n)) {
			return true
		}
	}
}
