package http

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

// Content is what an address stands for: a file, or bytes.
type Content struct {
	File  *os.File // closed when it was sent; its position does not matter
	Bytes []byte   // when there is no File

	Name      string // as people know it; its ending gives the type where Type is empty
	Type      string // media type
	ETag      string // strong, with its quotes; empty: none, and ranges cannot be tied to a version
	Immutable bool   // the address will never mean anything else
	Secret    bool   // given out once, see package token; never kept by anyone on the way

	// About is copied into every event of the transfer: who the client is, and
	// the stage that the receipt of the whole is evidence of.
	About fleet.Event

	receipt *token.Receipt
}

// Close closes the file, if there is one.
func (c *Content) Close() {
	if c.File != nil {
		c.File.Close()
	}
}

// body opens the content for reading and says how long it is.
func (c *Content) body() (io.ReadSeeker, int64, error) {
	if c.File == nil {
		return bytes.NewReader(c.Bytes), int64(len(c.Bytes)), nil
	}
	info, err := c.File.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("sending %s: no regular file", c.File.Name())
	}
	return c.File, info.Size(), nil
}

// types are the media types that firmware goes by (UEFI 2.10, 24.7.3.1: the
// boot file's type decides how it is started), and what others like to see.
var types = map[string]string{
	".efi":  "application/efi",
	".iso":  "application/vnd.efi-iso",
	".img":  "application/vnd.efi-img",
	".ipxe": "text/plain; charset=utf-8",
	".cfg":  "text/plain; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
	".ks":   "text/plain; charset=utf-8",
	".yaml": "text/plain; charset=utf-8",
	".json": "application/json",
	".ign":  "application/vnd.coreos.ignition+json",
	".html": "text/html; charset=utf-8",
}

func (c *Content) mediaType(url string) string {
	if c.Type != "" {
		return c.Type
	}
	for _, name := range []string{c.Name, url} {
		if t := types[strings.ToLower(path.Ext(name))]; t != "" {
			return t
		}
	}
	return "application/octet-stream"
}
