package metal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"slipway/internal/bootfiles/blockid"
	"slipway/internal/bootfiles/ptable"
)

// Contents is what lies on a disk, as far as it is known.
type Contents struct {
	Table      string `json:"table,omitempty"` // gpt or mbr
	Parts      []Held `json:"partitions"`
	Whole      *Held  `json:"whole,omitempty"`      // a file system without a table
	Unfinished string `json:"unfinished,omitempty"` // mark of a write that did not end
}

// Held is a partition, or a whole disk, and what is in it.
type Held struct {
	Number     int    `json:"number,omitempty"`
	Start      int64  `json:"start"`
	Size       int64  `json:"size"`
	Name       string `json:"name,omitempty"` // of the partition
	UUID       string `json:"uuid,omitempty"` // of the partition
	Filesystem string `json:"filesystem,omitempty"`
	Label      string `json:"label,omitempty"`
	Unfinished string `json:"unfinished,omitempty"` // mark of a write to the partition alone
}

// Contents looks at the disk.
func (d *Device) Contents() (*Contents, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, d.opening(err)
	}
	defer f.Close()
	c := &Contents{Unfinished: d.Unfinished(), Parts: []Held{}}
	table, err := ptable.Read(f, d.Size, int64(d.Sector))
	if d.File && errors.Is(err, ptable.ErrNone) { // a file does not say what sectors it stands for
		table, err = ptable.Read(f, d.Size, 4096)
	}
	switch {
	case err == nil && len(table.Parts) > 0:
		c.Table = table.Scheme
		for _, p := range table.Parts {
			h := Held{Number: p.Number, Start: p.Start, Size: p.Size, Name: p.Name, UUID: p.UUID}
			h.identify(io.NewSectionReader(f, p.Start, p.Size))
			h.Unfinished = unfinishedAt(f, p.Start)
			c.Parts = append(c.Parts, h)
		}
		return c, nil
	case err != nil && !errors.Is(err, ptable.ErrNone):
		c.Table = "damaged"
	}
	whole := Held{Size: d.Size}
	if whole.identify(f); whole.Filesystem != "" {
		c.Whole = &whole
	}
	return c, nil
}

// identify names the file system; what cannot be read holds nothing known.
func (h *Held) identify(r io.ReaderAt) {
	if info, err := blockid.Probe(r); err == nil && info.Type != "" {
		h.Filesystem, h.Label = info.Type, info.Label
		return
	}
	h.Filesystem = foreign(r)
}

// Empty tells that nothing known would be lost.
func (c *Contents) Empty() bool {
	return len(c.Parts) == 0 && c.Whole == nil && c.Unfinished == "" && c.Table == ""
}

// Lines says for people what is on the disk.
func (c *Contents) Lines() []string {
	var out []string
	if c.Unfinished != "" {
		out = append(out, "an unfinished write "+c.Unfinished)
	}
	if c.Table == "damaged" {
		out = append(out, "a damaged partition table")
	}
	for _, h := range c.Parts {
		out = append(out, fmt.Sprintf("partition %d: %s", h.Number, h.words()))
	}
	if c.Whole != nil {
		out = append(out, "all of it: "+c.Whole.words())
	}
	if len(out) == 0 {
		out = append(out, "nothing that is known")
	}
	return out
}

func (h *Held) words() string {
	words := []string{humanSize(h.Size)}
	if h.Filesystem != "" {
		words = append(words, h.Filesystem)
	}
	if h.Name != "" {
		words = append(words, fmt.Sprintf("named %q", h.Name))
	}
	if h.Label != "" && h.Label != h.Name {
		words = append(words, fmt.Sprintf("labelled %q", h.Label))
	}
	if h.Unfinished != "" {
		words = append(words, "an unfinished write "+h.Unfinished)
	}
	return strings.Join(words, ", ")
}
