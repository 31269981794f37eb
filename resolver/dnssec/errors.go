package dnssec

import "fmt"

// The codes of RFC 8914 that a ProofError carries.
const (
	codeOther           = 0
	codeAlgorithm       = 1 // unsupported DNSKEY algorithm
	codeDigest          = 2 // unsupported DS digest type
	codeBogus           = 6
	codeExpired         = 7
	codeNotYetValid     = 8
	codeKeyMissing      = 9
	codeSignatures      = 10 // RRSIGs missing
	codeNoZoneKey       = 11
	codeDenialMissing   = 12 // NSEC missing
	codeNeverValid      = 25 // the signature expires before it begins
	codeNSEC3Iterations = 27
)

// A ProofError says which proof failed, for which name, and why. It becomes
// SERVFAIL at the reply, unless its Status is Insecure.
type ProofError struct {
	Code   uint16 // RFC 8914 INFO-CODE
	Name   string // the owner of the records, or the zone
	Reason string // for the client
	Spent  bool   // the Work is gone: asking another server is no use
}

// Error names the owner and the reason.
func (e *ProofError) Error() string {
	return fmt.Sprintf("dnssec: %s: %s", e.Name, e.Reason)
}

// EDE returns what the client is told.
func (e *ProofError) EDE() (code uint16, text string) {
	return e.Code, e.Name + ": " + e.Reason
}

// Status returns Insecure if only the means are lacking to judge the zone: an
// algorithm or a digest that is not supported (RFC 4035 section 5.2), or too
// many NSEC3 iterations (RFC 9276 section 3.2). Everything else is Bogus.
func (e *ProofError) Status() Status {
	switch e.Code {
	case codeAlgorithm, codeDigest, codeNSEC3Iterations:
		return Insecure
	}
	return Bogus
}

// fault returns a ProofError for name.
func fault(code uint16, name, format string, args ...any) *ProofError {
	return &ProofError{Code: code, Name: name, Reason: fmt.Sprintf(format, args...)}
}

// spent returns the ProofError of a purse that is empty.
func spent(name, purse string) *ProofError {
	return &ProofError{Code: codeOther, Name: name, Reason: "work limit: " + purse, Spent: true}
}
