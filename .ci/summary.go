//go:build ignore

// Command summary reads the output of `go test -json` from files, prints the
// failures and the skips, and ends with one line: "N passed, N failed, N
// skipped". It fails when a test failed, and when a test was skipped that the
// list of expected skips does not have.
//
//	go run .ci/summary.go SKIPS RESULTS...
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

// event is one line of test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// key names a test, or with an empty name its package.
type key struct{ pkg, test string }

type summary struct {
	output                  map[key][]string
	passed, failed, skipped int
	fails                   []key
	skips                   []string
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: summary SKIPS RESULTS...")
		os.Exit(2)
	}
	expected, err := patterns(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	s := &summary{output: map[key][]string{}}
	for _, name := range os.Args[2:] {
		if err := s.read(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	unexpected := s.print(expected)
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || unexpected > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

// patterns reads regular expressions, one a line, with # comments.
func patterns(path string) ([]*regexp.Regexp, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []*regexp.Regexp
	for _, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		re, err := regexp.Compile("^(?:" + line + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, re)
	}
	return out, nil
}

func (s *summary) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// A test that is run twice, in two tiers, counts twice, but its output is its own.
	s.output = map[key][]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // what a compiler or make says
			continue
		}
		s.take(e)
	}
	return lines.Err()
}

func (s *summary) take(e event) {
	k := key{e.Package, e.Test}
	if e.Action == "build-output" || e.Action == "build-fail" {
		fmt.Print(e.Output)
		return
	}
	switch e.Action {
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "pass":
		if e.Test != "" {
			s.passed++
		}
	case "fail":
		if e.Test != "" || !s.anyFailed(e.Package) {
			s.failed++
		}
		s.fails = append(s.fails, k)
		fmt.Printf("--- failed: %s %s\n%s", e.Package, e.Test, strings.Join(s.output[k], ""))
	case "skip":
		if e.Test != "" {
			s.skipped++
			s.skips = append(s.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(s.output[k])))
		}
	}
	if e.Action != "output" {
		delete(s.output, k)
	}
}

// anyFailed tells a package that failed by itself (it did not build, or its
// process died) from one whose tests are counted already.
func (s *summary) anyFailed(pkg string) bool {
	for _, k := range s.fails {
		if k.pkg == pkg && k.test != "" {
			return true
		}
	}
	return false
}

var place = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

// reason is what t.Skip was given.
func reason(lines []string) string {
	var words []string
	for _, line := range lines {
		if strings.HasPrefix(line, "===") || strings.HasPrefix(strings.TrimSpace(line), "---") {
			continue
		}
		words = append(words, strings.TrimSpace(place.ReplaceAllString(line, "")))
	}
	return strings.Join(words, " ")
}

// print lists the skips and counts those that nobody expected.
func (s *summary) print(expected []*regexp.Regexp) (unexpected int) {
	sort.Strings(s.skips)
	for _, skip := range s.skips {
		mark := "skipped"
		if !known(expected, skip) {
			unexpected++
			mark = "skipped, NOT EXPECTED"
		}
		fmt.Printf("%s: %s\n", mark, skip)
	}
	if unexpected > 0 {
		fmt.Printf("%d skips are not in .ci/skips: make the tests run, or add a line there that says why not\n", unexpected)
	}
	return unexpected
}

func known(expected []*regexp.Regexp, skip string) bool {
	for _, re := range expected {
		if re.MatchString(skip) {
			return true
		}
	}
	return false
}
