package fleet

import (
	"bytes"
	"fmt"
	"net"
)

// MagicPacket is what wakes the card of a hardware address: six bytes of ones,
// then the address sixteen times (AMD's Magic Packet Technology, 20213).
func MagicPacket(mac string) ([]byte, error) {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return nil, fmt.Errorf("waking %q: it is no hardware address of six bytes", mac)
	}
	return append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(hw, 16)...), nil
}

// Wake sends the magic packets of a machine's cards to an address, mostly a
// broadcast's, port 9. What was sent is no evidence that it woke.
func (f *Fleet) Wake(id, to string) error {
	n, ok := f.Node(id)
	if !ok {
		return fmt.Errorf("waking %s: %w", id, ErrNotFound)
	}
	if len(n.Clients) == 0 {
		return fmt.Errorf("waking %s: no hardware address of it is known: name one in netboot.match", id)
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return fmt.Errorf("waking %s: %w", id, err)
	}
	defer conn.Close()
	for _, mac := range n.Clients {
		packet, err := MagicPacket(mac)
		if err != nil {
			return err
		}
		if _, err := conn.Write(packet); err != nil {
			return fmt.Errorf("waking %s: %w", id, err)
		}
	}
	f.Record(Event{Machine: n.Name, Client: n.Clients[0], Kind: KindWake, Text: "a magic packet was sent"})
	return nil
}
