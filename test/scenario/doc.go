// Package scenario plays whole resolutions that are written as text.
//
// A file tells what authoritative servers say, what clients ask and what they
// must be told. Read parses it, and Run plays it through the real resolver,
// walker and cache; the servers are in memory, and called inside
// testing/synctest the hours of a scenario take no time. A scenario that does
// not hold is an error that begins with file and line.
//
// # The language
//
// It is the core of the one that Unbound's and Knot Resolver's tests are
// written in, with a few additions, marked (+). A semicolon begins a comment.
//
//	server:                      ; settings, by Unbound's names
//		qname-minimisation: no   ; or yes, the default
//	stub-zone:
//		name: "."                ; for the root: the hints
//		stub-addr: 192.0.2.1
//	CONFIG_END
//
//	SCENARIO_BEGIN A title
//	RANGE_BEGIN 0 100            ; first and last step in which this holds
//		ADDRESS 192.0.2.1        ; who speaks; may come several times
//	ENTRY_BEGIN                  ; the first entry that matches is said
//	MATCH opcode qtype qname
//	ADJUST copy_id
//	REPLY QR AA NOERROR
//	SECTION QUESTION
//	www.example. IN A
//	SECTION ANSWER
//	www.example. IN A 192.0.2.80
//	ENTRY_END
//	ZONE_BEGIN example.          ; (+) what no entry matches, this zone answers,
//	www A 192.0.2.80             ; as an authoritative server does
//	ZONE_END                     ; with SIGNED after its name, it is signed and
//	RANGE_END                    ; has its DS where it is delegated; with SIGNED
//	                             ; ISLAND, it is signed and has no DS
//
//	STEP 1 QUERY
//	ENTRY_BEGIN
//	REPLY RD
//	SECTION QUESTION
//	www.example. IN A
//	ENTRY_END
//
//	STEP 2 CHECK_ANSWER
//	ENTRY_BEGIN
//	MATCH all
//	REPLY QR RD RA NOERROR
//	SECTION QUESTION
//	www.example. IN A
//	SECTION ANSWER
//	www.example. IN A 192.0.2.80
//	ENTRY_END
//	SCENARIO_END
//
// Settings of server: do-ip4, do-ip6, qname-minimisation,
// qname-minimisation-strict, cache-min-ttl, cache-max-ttl, serve-expired,
// serve-expired-ttl, do-not-query-address, trust-anchor (a zone that is SIGNED;
// without one, nothing is validated), domain-insecure, val-override-date,
// aggressive-nsec (no, unless it is yes). Of stub-zone: name, stub-addr. Of
// forward-zone: name, forward-addr, forward-first. Stale answers are off unless
// serve-expired is yes. A stub-zone for the root gives the hints; their server
// is called hints.root.example.
//
// An address is silent for a query if no entry of a range that holds matches
// it and the range has no zone. Every exchange takes 10 ms.
//
// MATCH takes opcode, qtype, qname, qcase, subdomain, question, UDP, TCP, DO,
// noedns, edns (+) and RD (+), which compare queries, and all, rcode, flags, answer,
// authority, additional, ttl, ede=CODE, noede (+), which compare replies. all
// is everything but ttl, ede and the OPT record. Sections are sets, except
// that aliases keep their order and stand before the data.
//
// ADJUST takes copy_id, which is always done, copy_query, sleep=SECONDS and
// silence (+), which says nothing at all.
//
// REPLY takes an opcode, an rcode, QR AA TC RD RA AD CD, DO, and EDNS (+) for
// an OPT record without DO.
//
// The steps, in the order of their numbers:
//
//	STEP n QUERY [REPEAT clients(+)]    clients ask, all at once, and wait
//	STEP n CHECK_ANSWER [AFTER(+) s] [BEFORE(+) s]
//	                                    the answer to the oldest QUERY that was
//	                                    not looked at; its age at arrival, in
//	                                    seconds, is in these bounds, both included
//	STEP n CHECK_OUT_QUERY [ADDRESS a] [COUNT(+) k] [ATMOST(+) k]
//	                                    since the last QUERY, a was asked, or any
//	                                    server, what the entry matches: k times,
//	                                    at most k times, or at least once;
//	                                    without an entry, anything counts (+)
//	STEP n TIME_PASSES ELAPSE seconds
//	STEP n PRIME(+)                     the root's servers are asked for
//
// # Files of others
//
// ReadForeign takes the files of Unbound and Deckard, with package corpus for
// their settings; go test -run TestCorpus plays the folder that RPL_CORPUS names.
// They may also have # comments; ranges without address, which speak for all;
// HEX_ANSWER, HEX_EDNSDATA and RAW; and the steps REPLY, TIMEOUT and ERROR, which
// end the oldest query that no range answered, NOTHING and TRAFFIC. Such a query
// waits for its step. Before each step all happens that needs none.
//
// Deckard's servers answer SERVFAIL to what nothing matches, speak for addresses
// that no range names, and do so while the QUERY step lasts; CHECK_ANSWER means the
// last QUERY there, in Unbound's files any that was not looked at.
//
// Matching forgives what Proxima does otherwise by design: the additional section
// and NS records with their signatures in the authority section are not compared,
// codes 7 to 12 will do where extended error 6 is wanted, and a referral for a
// minimised query of type NS will do in Deckard's for type A (RFC 9156 section 2.1).
// SHA-1 counts, and aggressive-nsec is on. Nothing else is forgiven.
package scenario
