package wire

// An EDE is an extended error of RFC 8914: why a reply is what it is. A nil
// *EDE means that there is nothing to say.
type EDE struct {
	Code uint16
	Text string // UTF-8, for people; sent cut to maxText octets
}

// maxText bounds the text of an EDE in a reply. 128 octets, not configurable:
// with it an error for the longest name still fits the 512 octets that every
// client can take. RFC 8914 section 2 allows cutting.
const maxText = 128

// Codes of RFC 8914 section 4, and those registered since.
const (
	EDEOther                = 0
	EDEUnsupportedAlgorithm = 1
	EDEUnsupportedDigest    = 2
	EDEStaleAnswer          = 3
	EDEForgedAnswer         = 4
	EDEIndeterminate        = 5
	EDEBogus                = 6
	EDESignatureExpired     = 7
	EDESignatureNotYetValid = 8
	EDEDNSKEYMissing        = 9
	EDERRSIGsMissing        = 10
	EDENoZoneKey            = 11
	EDENSECMissing          = 12
	EDECachedError          = 13
	EDENotReady             = 14
	EDEBlocked              = 15
	EDECensored             = 16
	EDEFiltered             = 17
	EDEProhibited           = 18
	EDEStaleNXDomain        = 19
	EDENotAuthoritative     = 20
	EDENotSupported         = 21
	EDENoReachableAuthority = 22
	EDENetworkError         = 23
	EDEInvalidData          = 24
	EDESignatureNeverValid  = 25 // expires before it begins
	EDETooEarly             = 26
	EDENSEC3Iterations      = 27
	EDEPolicy               = 28
	EDESynthesized          = 29
	EDEInvalidQueryType     = 30
)
