package machine

import (
	"reflect"
	"strings"
)

// bindPattern is how a bind is written in one line.
const bindPattern = `^[^~:\n][^:\n]*:/[^:\n]*(:(ro|rw))?$`

var (
	bindRule     = newPattern(bindPattern)
	portRule     = newPattern(portPattern)
	durationRule = newPattern(durationPattern)
	sizeRule     = newPattern(sizePattern)
)

// setBind reads "host:inside[:ro]".
func setBind(d *decoder, n *node, path string, v reflect.Value) {
	if !bindRule.MatchString(n.text) {
		d.refuse(n, path, path+" is "+quote(n.text)+`, want "host:/inside" or "host:/inside:ro"`, hintTilde(n.text))
		return
	}
	parts := strings.Split(n.text, ":")
	host := *n
	host.text = parts[0]
	v.Set(reflect.ValueOf(Bind{
		Host:     d.resolve(&host, "host"),
		Path:     parts[1],
		ReadOnly: len(parts) == 3 && parts[2] == "ro",
	}))
}
