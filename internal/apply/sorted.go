package apply

import (
	"maps"
	"slices"
)

// sorted is a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
