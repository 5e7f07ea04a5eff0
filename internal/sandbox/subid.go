package sandbox

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// idCount is how many ids a tree has: 0..65535.
const idCount = 65536

// SelfID is the id inside a worker that stands for the caller's own user and
// group: files it makes as SelfID belong to the caller outside.
const SelfID = 65536

// rootStart is the first id of the range root uses. It is the start of the
// range systemd reserves for containers' shifted trees (UIDS-GIDS document:
// 524288..1879048191 are dynamic, 0x70000000 and up foreign images), 64 Ki in,
// so that neither real users nor other tools' trees collide with ours.
const rootStart = 0x70010000

// Range is a run of ids on the host.
type Range struct{ Start, Count int64 }

// parseSubIDs finds the largest range for the user in the text of /etc/subuid
// or /etc/subgid (subuid(5): name-or-uid, start, count). Malformed lines are
// skipped, as newuidmap does.
func parseSubIDs(r io.Reader, name string, id int) (Range, bool) {
	var best Range
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(f) != 3 || (f[0] != name && f[0] != strconv.Itoa(id)) || f[0] == "" {
			continue
		}
		start, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil || start+count > 1<<32 {
			continue
		}
		if int64(count) > best.Count {
			best = Range{int64(start), int64(count)}
		}
	}
	return best, best.Count > 0
}

// readSubIDs reads the user's range from file; flag is usermod's option that
// would add one.
func readSubIDs(file, flag, name string, id int) (Range, error) {
	free := freeRange(subIDFiles...)
	remedy := fmt.Sprintf("run as root: usermod %s %d-%d %s", flag, free.Start, free.Start+free.Count-1, name)
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Range{}, &Problem{Text: file + " does not exist", Fix: remedy}
	}
	if err != nil {
		return Range{}, err
	}
	defer f.Close()
	r, ok := parseSubIDs(f, name, id)
	if !ok {
		return Range{}, &Problem{Text: fmt.Sprintf("no line for %s in %s", name, file), Fix: remedy}
	}
	if r.Count < idCount {
		return Range{}, &Problem{Text: fmt.Sprintf("%s gives %s only %d ids, a machine needs %d", file, name, r.Count, idCount), Fix: remedy}
	}
	return r, nil
}

var subIDFiles = []string{"/etc/subuid", "/etc/subgid"}

// freeRange finds ids that no line of the files gives to anybody.
func freeRange(files ...string) Range {
	free := Range{100000, idCount} // where useradd begins (login.defs(5), SUB_UID_MIN)
	var taken []Range
	for _, file := range files {
		data, _ := os.ReadFile(file)
		taken = append(taken, allSubIDs(string(data))...)
	}
	slices.SortFunc(taken, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	for _, t := range taken {
		if t.Start < free.Start+free.Count && free.Start < t.Start+t.Count {
			free.Start = t.Start + t.Count
		}
	}
	return free
}

// allSubIDs lists everybody's ranges.
func allSubIDs(text string) []Range {
	var list []Range
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 {
			continue
		}
		start, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			list = append(list, Range{int64(start), int64(count)})
		}
	}
	return list
}
