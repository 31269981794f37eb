// Package wire reads and writes DNS messages as octets, for the path on which
// every query travels.
//
// A transport hands each packet to ParseQuery, which checks the header before
// it looks at anything else, and gets a Query: a view of the packet, nothing
// copied. If the packet is faulty, AppendFault composes what it deserves. If
// it is sound, somebody composes a reply: the cache from an answer it holds,
// or AppendError. AppendOPT ends that reply; the transport adds its own options
// with AddOption and cuts the reply to size with DropEDE and Truncate.
//
// AppendRecords is the way back: it indexes the records of a whole message, so
// that its times can be changed without taking it apart.
//
// Nothing here allocates, beyond growing the slice that the caller gave, and
// nothing panics, whatever the octets say.
package wire

// Sizes in octets.
const (
	HeaderLen   = 12    // RFC 1035 section 4.1.1
	MaxName     = 255   // a name with its length octets, RFC 1035 section 2.3.4
	MaxMessage  = 65535 // what the length prefix of TCP can say
	MinUDP      = 512   // what every client can take by UDP, RFC 1035 section 4.2.1
	PayloadSize = 1232  // offered and used over UDP: no fragments at an MTU of 1280, RFC 9715
)

// Types of records, from the registry that RFC 6895 describes.
const (
	TypeA          = 1
	TypeNS         = 2
	TypeMD         = 3
	TypeMF         = 4
	TypeCNAME      = 5
	TypeSOA        = 6
	TypeMB         = 7
	TypeMG         = 8
	TypeMR         = 9
	TypePTR        = 12
	TypeHINFO      = 13
	TypeMINFO      = 14
	TypeMX         = 15
	TypeTXT        = 16
	TypeRP         = 17
	TypeAFSDB      = 18
	TypeRT         = 21
	TypeSIG        = 24
	TypeKEY        = 25
	TypePX         = 26
	TypeAAAA       = 28
	TypeNXT        = 30
	TypeSRV        = 33
	TypeNAPTR      = 35
	TypeKX         = 36
	TypeDNAME      = 39
	TypeOPT        = 41
	TypeDS         = 43
	TypeRRSIG      = 46
	TypeNSEC       = 47
	TypeDNSKEY     = 48
	TypeNSEC3      = 50
	TypeNSEC3PARAM = 51
	TypeSVCB       = 64
	TypeHTTPS      = 65
	TypeTKEY       = 249
	TypeTSIG       = 250
	TypeIXFR       = 251
	TypeAXFR       = 252
	TypeMAILB      = 253
	TypeMAILA      = 254
	TypeANY        = 255
)

// Classes.
const (
	ClassIN   = 1
	ClassCH   = 3 // CHAOS
	ClassHS   = 4 // Hesiod
	ClassNONE = 254
	ClassANY  = 255
)

// Response codes. Those above 15 need an OPT record to be said, RFC 6891.
const (
	RcodeNoError  = 0
	RcodeFormErr  = 1
	RcodeServFail = 2
	RcodeNXDomain = 3
	RcodeNotImp   = 4
	RcodeRefused  = 5
	RcodeYXDomain = 6
	RcodeBadVers  = 16
)

// EDNS options that Proxima knows.
const (
	OptionNSID      = 3  // RFC 5001
	OptionCookie    = 10 // RFC 7873
	OptionKeepalive = 11 // RFC 7828
	OptionPadding   = 12 // RFC 7830
	OptionEDE       = 15 // RFC 8914
)

// Bits of the header's flags, octets 2 and 3 as one number.
const (
	flagQR     = 1 << 15
	maskOpcode = 15 << 11
	flagTC     = 1 << 9
	flagRD     = 1 << 8
	flagRA     = 1 << 7
	flagAD     = 1 << 5
	flagCD     = 1 << 4
)

// MaskAD is the flag AD, "authentic data", in the header's octet 3.
const MaskAD = flagAD
