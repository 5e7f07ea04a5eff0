package metal

// Twins lists other disks of this host that hold a partition with the same
// identity. A system that finds its root by that takes one of them, nobody
// knows which; it happens when one image is written to two disks, or a machine
// to a second disk of itself.
func (f Finder) Twins(d *Device) []*Device {
	if d.File {
		return nil
	}
	all, err := f.Disks()
	if err != nil {
		return nil
	}
	return d.twins(all)
}

func (d *Device) twins(all []*Device) []*Device {
	mine := d.identities()
	var out []*Device
	for _, other := range all {
		if other.Path == d.Path {
			continue
		}
		for id := range other.identities() {
			if mine[id] {
				out = append(out, other)
				break
			}
		}
	}
	return out
}

// identities are the UUIDs of a disk's partitions; none where it has no table
// or cannot be read.
func (d *Device) identities() map[string]bool {
	out := map[string]bool{}
	c, err := d.Contents()
	if err != nil {
		return out
	}
	for _, p := range c.Parts {
		if p.UUID != "" {
			out[p.UUID] = true
		}
	}
	return out
}
