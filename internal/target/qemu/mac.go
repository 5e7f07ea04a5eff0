package qemu

import (
	"crypto/sha256"
	"fmt"
	"net"
)

// MAC derives the address of a machine's n-th network card from the machine's
// name: always the same, and in the range that virtual machines use by custom.
func MAC(name string, n int) net.HardwareAddr {
	sum := sha256.Sum256(fmt.Appendf(nil, "slipway nic\x00%s\x00%d", name, n))
	return net.HardwareAddr{0x52, 0x54, 0x00, sum[0], sum[1], sum[2]}
}
