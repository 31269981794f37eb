// Package node tests one real node: the compiled programs in network
// namespaces.
//
// A test lays a host for the node, alone or with a router, a client and a small
// Internet around it, writes a configuration file, starts proxima (and
// proxima-bgp) there, and then asks, listens, breaks and kills. Nothing is
// faked between the client's socket and the authoritative server's. The tests
// need root, or they skip; with PROXIMA_FULL=1 they take their full measure
// instead of the part that fits into every run.
package node
