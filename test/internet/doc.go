//go:build linux

// Package internet is a model of the Internet, faults included, and a race of
// resolvers across it.
//
// A Model is planned from the genuine list of top-level domains and two lists
// of real domain names (plan.go, hosts.go): each name becomes a zone, on two to
// four out of some hundred name servers of both families, near and far, some of
// which are silent, lame or otherwise broken. What is asked about it has one
// true answer (truth.go). NSD serves the zones (tier.go); a small server in this
// process stands in for the hosts with faults that NSD cannot have (faulty.go).
//
// A world puts the model into one network namespace and the resolver into
// another. The cable between them (distance.go) is as long as the way to each
// host, counts what is sent, and is a program, as not every kernel can delay.
// A contender (contenders.go) is a resolver started cold in its namespace; it is
// asked everything (ask.go), judged by the truth and measured (race.go).
//
// No zone is signed, and nobody validates: this is about finding servers.
package internet
