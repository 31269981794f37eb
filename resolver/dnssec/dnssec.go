// Package dnssec judges signatures and denials. It reads no network, no clock
// and no file: whoever asks brings the records and the time.
//
// A walk arrives at a zone with the DS set that the parent has signed, or with
// an anchor. TrustKeys finds the zone's keys by it, once. VerifyRRset then
// judges every set of records that the zone sends, and the Prove functions
// judge what it says does not exist. All of it is paid from one Work, which
// belongs to the client's query and is never refilled: what a zone may cost
// does not depend on what it publishes (CVE-2023-50387, CVE-2023-50868).
package dnssec

// A Status is what the chain of trust says of a zone or of records.
type Status uint8

const (
	Insecure Status = iota // nothing vouches for it, and it is proven that nothing need do so
	Secure                 // an unbroken chain of signatures leads to a trust anchor
	Bogus                  // a signature or a proof that must be there is missing or wrong
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case Insecure:
		return "insecure"
	case Secure:
		return "secure"
	default:
		return "bogus"
	}
}

// Rules are what the operator may decide. The zero value is the default.
type Rules struct {
	// SHA1 lets RSASHA1 signatures and SHA-1 digests prove something. Without
	// it they count as unknown algorithms, and what rests on them alone is
	// insecure (RFC 9905).
	SHA1 bool

	// Iterations is how many additional NSEC3 iterations are computed; zones
	// with more are insecure. 0 means the default of 50, -1 means none; at most
	// 150 (RFC 9276 section 3.2).
	Iterations int
}
