package store

// Layer is a committed layer.
type Layer struct{}

func (l *Layer) close() {}
