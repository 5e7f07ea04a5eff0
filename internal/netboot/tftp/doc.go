// Package tftp serves files over TFTP to firmware, for reading only.
//
// It speaks RFC 1350 with the options of RFC 2347 to 2349 (blksize, timeout,
// tsize) and RFC 7440 (windowsize). It writes nothing: write requests are
// refused. It knows neither files nor machines: Server.Open says what a name
// means, and every transfer is told to a fleet.Sink.
//
// A connection of TFTP is the pair of both ends' ports (RFC 1350, 4), so a few
// sockets carry all transfers: each is an entry in a table, not a goroutine
// with a socket of its own. In ordinary mode the answers come from a port other
// than the one that was asked; with SinglePort all go through that one, which
// is what firewalls and address translation between the two need.
//
//	s := &tftp.Server{Open: open, Sink: sink}
//	conn, err := net.ListenPacket("udp4", ":69")
//	err = s.Serve(ctx, conn)
package tftp
