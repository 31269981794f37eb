// Package netsetup holds the anycast addresses on this host while the daemon runs.
//
// Before the daemon listens, Ensure puts each address on an interface in a form
// that the kernel does not choose as a source (IPv4 with scope host, IPv6 with
// preferred lifetime 0), and a blackhole route behind each announced prefix, so
// that packets to its unused addresses end here instead of going back to the
// router. Watch then puts back whatever goes missing, and Release takes away
// what Proxima added, after the announcement is withdrawn and not before: an
// announced prefix without its address is an outage. Sources finds the unicast
// addresses from which authoritative servers are asked, since the answer to a
// question from an anycast address may reach another node.
//
// # Whose address is it
//
// What Proxima adds bears its mark, Protocol: routes as the routing protocol,
// addresses as IFA_PROTO (Linux 5.18). So a daemon that follows a killed one
// knows what that one left, and Release takes it away. Kernels before 5.18 keep
// no mark on addresses: there Release takes away the addresses that this very
// process added, and what a killed one left stays, like an operator's.
//
// An operator's address is never changed or removed: two owners that correct
// each other never stop. If the kernel could choose it as a source, Ensure
// refuses it and says what to do; otherwise it serves as if Proxima had added
// it. An address of Proxima's own in another form is made anew.
//
// Marks tell Proxima's things from others', not one Proxima from another: there
// is one in a network namespace.
//
// # What the kernel still does
//
// RFC 6724 section 5 compares scopes (rule 2) before it avoids deprecated
// addresses (rule 3). On a host whose only other IPv6 addresses are link-local
// the kernel therefore gives a socket that is not bound an anycast source.
// Proxima's sockets are bound, and Sources finds none there, but other programs
// of such a host need an IPv6 address of its own, on lo for example.
package netsetup
