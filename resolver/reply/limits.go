package reply

// What is read of one reply at most.
const (
	// MaxAliases bounds the CNAME and DNAME steps, of one reply and of a client
	// query alike. 11, as Unbound and BIND; RFC 1034 section 3.6.2 wants chains
	// followed and loops signalled, but names no number.
	MaxAliases = 11

	// MaxAddresses bounds the addresses of one name server. 6, as BIND: three of
	// each family.
	MaxAddresses = 6

	// maxReferredServers bounds the names read of one referral. 100: the greatest
	// sets in use have some 30; 1,500 are an attack (NRDelegation, CVE-2022-3204).
	maxReferredServers = 100

	// maxRRset bounds the records of one type at one name. 256; more are not
	// believed, because storing and sorting them is the attack (CVE-2024-1737).
	maxRRset = 256
)
