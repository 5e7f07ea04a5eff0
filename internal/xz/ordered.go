package xz

import (
	"bytes"
	"errors"
	"io"
)

// open gives the content of one block. release ends the reading.
func open(r io.ReaderAt, b block) (content io.Reader, release func(), err error) {
	p, err := openBlock(r, b)
	if err == nil {
		return p, p.release, nil
	}
	if !errors.Is(err, errOtherFilter) {
		return nil, nil, err
	}
	// The general decoder reads it as a stream of its own, which also
	// compares the sizes that the index declared.
	d, err := acquire(io.MultiReader(
		bytes.NewReader(streamHeader(b.flags)),
		io.NewSectionReader(r, b.offset, b.padded()),
		bytes.NewReader(streamEnd(b))))
	if err != nil {
		return nil, nil, err
	}
	return explained{d.z}, d.release, nil
}

// explained makes errors of the general decoder say what they mean.
type explained struct{ r io.Reader }

func (e explained) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	if err != nil && err != io.EOF {
		err = explain(err)
	}
	return n, err
}

// orderedReader decodes the blocks of a file one after another.
type orderedReader struct {
	r       io.ReaderAt
	blocks  []block // not begun yet
	current io.Reader
	release func()
	err     error
}

// Read implements io.Reader.
func (o *orderedReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for o.err == nil {
		if o.current == nil {
			o.advance()
			continue
		}
		n, err := o.current.Read(b)
		if err == io.EOF {
			o.end()
		} else {
			o.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, o.err
}

func (o *orderedReader) advance() {
	if len(o.blocks) == 0 {
		o.err = io.EOF
		return
	}
	o.current, o.release, o.err = open(o.r, o.blocks[0])
	o.blocks = o.blocks[1:]
}

func (o *orderedReader) end() {
	if o.release != nil {
		o.release()
	}
	o.current, o.release = nil, nil
}

// Close gives the decoder back. It may be called twice.
func (o *orderedReader) Close() error {
	o.end()
	if o.err == nil || o.err == io.EOF {
		o.err = ErrClosed
	}
	return nil
}
