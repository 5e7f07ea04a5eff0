package main

import (
	"io"
	"os"

	"slipway/internal/guest/wire"
)

// console is the machine's console terminal. The supervisor attaches once and
// early; until then the kernel's buffer keeps the first lines.
type console struct{ master *os.File }

func newConsole(master *os.File) *console { return &console{master} }

func (c *console) attach(st *wire.Stream) wire.Reply {
	go io.Copy(c.master, st.Reader(wire.Input))
	out := st.Writer(wire.Output)
	buf := make([]byte, 16<<10)
	for {
		n, err := c.master.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return wire.Reply{Error: err.Error()}
			}
		}
		if err != nil && !waitOpener(err) {
			return failure(err)
		}
	}
}

// discard keeps writers to the console from blocking when nobody listens.
func (c *console) discard() {
	buf := make([]byte, 16<<10)
	for {
		if _, err := c.master.Read(buf); err != nil && !waitOpener(err) {
			return
		}
	}
}
