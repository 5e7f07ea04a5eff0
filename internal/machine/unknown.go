package machine

import (
	"fmt"
	"reflect"
	"strings"
)

// unknown reports a key that a mapping does not have: one of a later version,
// one that looks like a secret, one that belongs elsewhere, or a misspelt one.
func (d *decoder) unknown(p pair, path string, t reflect.Type) {
	problem := Problem{Pos: p.pos, Key: join(path, p.key), Text: p.key, structural: true}
	if why, ok := later[t][p.key]; ok {
		problem.Message = fmt.Sprintf("key %q is not yet supported", p.key)
		problem.Hint = why
		d.c.add(problem)
		return
	}
	problem.Message = fmt.Sprintf("unknown key %q", p.key)
	if path != "" {
		problem.Message += " in " + path
	}
	problem.Hint = adviseKey(p.key, t, path)
	d.c.add(problem)
}

// adviseKey says what may have been meant.
func adviseKey(key string, t reflect.Type, path string) string {
	valid := keysOf(t)
	if near := nearest(key, valid); near != "" {
		return didYouMean(near)
	}
	if places := placesOf(key); len(places) > 0 {
		return fmt.Sprintf("it belongs to %s", listed(places, "or"))
	}
	if path == "" {
		near, least := "", 1000
		for _, k := range valid {
			if n := distance(key, k); n < least {
				near, least = k, n
			}
		}
		return fmt.Sprintf("the nearest valid key is %q", near)
	}
	return "valid: " + strings.Join(valid, ", ")
}

// placesOf lists the mappings that have a key of that name.
func placesOf(key string) []string {
	var out []string
	for _, k := range KeyDocs() {
		if at := strings.LastIndexByte(k.Key, '.'); at >= 0 && k.Key[at+1:] == key {
			out = append(out, strings.ReplaceAll(k.Key[:at], "[]", ""))
		} else if at < 0 && k.Key == key {
			out = append(out, "the top level")
		}
	}
	if len(out) > 3 {
		out = out[:3]
	}
	return out
}
