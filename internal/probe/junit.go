package probe

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The JUnit form that CI systems read: a suite per target, a case per stage
// and probe.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report that --junit asks for.
func WriteJUnit(w io.Writer, p *Proof) error {
	all := junitSuites{Name: p.Machine}
	total := 0.0
	for _, t := range p.Targets {
		s := suite(p.Machine, t)
		all.Suites = append(all.Suites, s)
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
		total += t.Seconds
	}
	all.Time = seconds(total)
	data, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = io.WriteString(w, xml.Header+string(data)+"\n")
	}
	if err != nil {
		return fmt.Errorf("writing the JUnit report: %w", err)
	}
	return nil
}

func suite(machine string, t TargetReport) junitSuite {
	s := junitSuite{Name: machine + " on " + t.Name, Time: seconds(t.Seconds)}
	class := machine + "." + t.Name
	s.add(class+".stage", t.Stages)
	s.add(class+".probe", t.Probes)
	if !t.OK && s.Failures == 0 {
		s.add(class, []Result{{Name: "up", Reason: t.Reason, Seconds: t.Seconds}})
	}
	return s
}

func (s *junitSuite) add(class string, list []Result) {
	for _, r := range list {
		c := junitCase{Class: class, Name: r.Name, Time: seconds(r.Seconds)}
		if !r.OK {
			first, _, _ := strings.Cut(r.Reason, ";")
			c.Failure = &junitFailure{Message: first, Text: r.Reason}
			s.Failures++
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
