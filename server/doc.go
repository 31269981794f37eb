// Package server holds the sockets on which clients ask, and knows nothing of
// names.
//
// A datagram's trip: reader i owns socket i, which is bound to the service
// address itself, and its buffers. It takes a batch from the kernel, reads the
// clock once, and sees to each packet: its header and question are read, the
// client is admitted or refused, and Handler.AnswerNow composes the reply if
// it is known. The replies of the batch leave together through the socket by
// which the queries came, so that their source is the address that was asked.
// On this path there is no lock, no allocation and no log.
//
// If AnswerNow does not know, the packet takes one of a bounded number of
// places and moves to a goroutine of its own, which waits for Handler.Answer;
// the reader takes a fresh packet and goes on.
//
// A query by TCP goes the same two ways. One goroutine reads the connection
// and answers what is known; answers that take time leave when they are ready,
// in any order (RFC 7766). What one connection, one client and all of them
// together may hold is bounded, and under pressure the connection that has
// idled longest goes first.
//
// The package is written for Linux.
package server
