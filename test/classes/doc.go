// Package classes attacks a whole resolver, in virtual time and without
// sockets, by the known classes of attacks: A, authorities that make a question
// cost many, and C, poison for the cache.
//
// Each test bears the number of its class in docs/attacks.md, which says where
// the classes that are not here are tested.
package classes
