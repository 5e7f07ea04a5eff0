package anaconda

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// plain is text that means itself in YAML.
var plain = regexp.MustCompile(`^[A-Za-z_/@][A-Za-z0-9_./@+-]*$`)

// ambiguous are words that YAML reads as something else.
var ambiguous = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)

// quote writes a text as a YAML scalar in one line.
func quote(s string) string {
	if plain.MatchString(s) && !ambiguous.MatchString(s) {
		return s
	}
	return quoteText(s)
}

// quoteText writes a text between double quotes; what JSON writes is YAML too.
func quoteText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(strings.ToValidUTF8(s, "")); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func flow(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// finish writes the definition, an item a line, and makes sure that it loads.
func (m *importer) finish() (*Imported, error) {
	m.out.Name = m.name()
	if m.system == "" {
		m.system = "alma/9"
		m.out.Warnings = append(m.out.Warnings, "0: no address tells the system: alma/9 is assumed (--system says another)")
		m.comments = append(m.comments, "no address of the kickstart tells the system: alma/9 is assumed")
	}
	lines := m.lines()
	lines, err := m.loadable(lines)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if len(m.comments) > 0 {
		b.WriteString("# Not taken over from the kickstart:\n")
		for _, c := range m.comments {
			b.WriteString("# " + oneLine(c) + "\n")
		}
	}
	b.WriteString(strings.Join(lines, "\n") + "\n")
	m.out.YAML = []byte(b.String())
	return &m.out, nil
}

func (m *importer) name() string {
	first, _, _ := strings.Cut(m.hostname, ".")
	if first == "" || first == "localhost" {
		first = m.opt.Name
	}
	clean := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, first), "-")
	if clean = strings.Trim(clean[:min(len(clean), 63)], "-"); clean == "" {
		return "imported"
	}
	return clean
}

func (m *importer) lines() []string {
	out := []string{"slipway: v1", "name: " + quoteName(m.out.Name), "system: " + quote(m.system)}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	block := func(key string, items []string) {
		if len(items) == 0 {
			return
		}
		add("%s:", key)
		for _, item := range items {
			add("  - %s", item)
		}
	}
	if m.base != "" {
		add("base: %s", quote(m.base))
	}
	if m.mirror != "" {
		add("mirror: %s", quote(m.mirror))
	}
	var packages []string
	for _, p := range m.packages {
		packages = append(packages, quote(p))
	}
	block("packages", packages)
	if m.weak {
		add("recommends: true")
	}
	block("repositories", m.keys["repositories"])
	block("users", m.userLines())
	if len(m.enable)+len(m.disable) > 0 {
		add("services:")
		for _, l := range []struct {
			key   string
			names []string
		}{{"enable", m.enable}, {"disable", m.disable}} {
			if len(l.names) > 0 {
				add("  %s: %s", l.key, flow(l.names))
			}
		}
	}
	if m.hostname != "" && m.hostname != "localhost" && m.hostname != "localhost.localdomain" {
		add("hostname: %s", quote(m.hostname))
	}
	for _, key := range []string{"timezone", "locale"} {
		if v := m.scalars[key]; v != "" {
			add("%s: %s", key, quote(v))
		}
	}
	block("network", m.keys["network"])
	block("run", m.keys["run"])
	if len(m.cmdline) > 0 {
		add("kernel: {cmdline: %s}", flow(m.cmdline))
	}
	out = append(out, m.diskLines()...)
	if len(m.boot) > 0 {
		add("boot: {%s}", strings.Join(m.boot, ", "))
	}
	return append(out, m.netboot()...)
}

// quoteName protects a name that is a number.
func quoteName(s string) string {
	if s[0] >= '0' && s[0] <= '9' {
		return quoteText(s)
	}
	return quote(s)
}

func (m *importer) userLines() []string {
	var out []string
	for _, name := range m.order {
		u := m.users[name]
		line := "name: " + quote(u.name)
		if u.uid != "" {
			line += ", uid: " + u.uid
		}
		if len(u.groups) > 0 {
			line += ", groups: " + flow(u.groups)
		}
		for _, o := range [][2]string{{"comment", u.comment}, {"home", u.home}, {"shell", u.shell}} {
			if o[1] != "" {
				line += ", " + o[0] + ": " + quoteText(o[1])
			}
		}
		if u.hash {
			line += ", password: {hash_file: " + quoteText("./"+HashFile(u.name)) + "}"
		}
		if len(u.keys) > 0 {
			line += ", ssh_keys: " + flow(u.keys)
		}
		out = append(out, "{"+oneLine(line)+"}")
	}
	return out
}

// HashFile is the name of the file beside the definition that holds a user's
// hash.
func HashFile(user string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, user) + ".hash"
}

// diskLines puts what grows last, which is where it must be.
func (m *importer) diskLines() []string {
	parts := slices.Clone(m.disk)
	slices.SortStableFunc(parts, func(a, b string) int {
		grows := func(s string) int {
			if strings.Contains(s, "grow: true") {
				return 1
			}
			return 0
		}
		return grows(a) - grows(b)
	})
	if len(parts) == 0 && m.table == "" {
		return nil
	}
	out := []string{"disk:"}
	if m.table != "" {
		out = append(out, "  table: "+m.table)
	}
	if len(parts) > 0 {
		out = append(out, "  partitions:")
	}
	for _, p := range parts {
		out = append(out, "    - "+p)
	}
	return out
}

func (m *importer) netboot() []string {
	out := []string{"netboot:", "  mode: install"}
	if m.target != "" {
		out = append(out, "  disk: "+quote(m.target))
	}
	out = append(out, "  installer:", "    kind: kickstart")
	if m.keyboard != "" {
		out = append(out, "    keyboard: "+quote(m.keyboard))
	}
	return out
}

// loadable loads the definition, and makes comments of the lines that are
// refused, until it does. A list that has lost all its items goes too.
func (m *importer) loadable(lines []string) ([]string, error) {
	dir, err := os.MkdirTemp("", "slipway-import-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "imported.yaml")
	for range len(lines) + 1 {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return nil, err
		}
		_, err := machine.Load(file, machine.Options{})
		problems, ok := err.(machine.Problems)
		if err == nil {
			return lines, nil
		}
		if !ok {
			return nil, fmt.Errorf("loading what was imported: %w", err)
		}
		drop := map[int]string{}
		for _, p := range problems {
			n := p.Pos.Line
			if n <= 3 || n > len(lines) { // slipway, name and system are ours
				return nil, fmt.Errorf("what was imported does not load: %s", p.Message)
			}
			drop[n-1] = oneLine(p.Message)
		}
		lines = m.without(lines, drop)
	}
	return nil, fmt.Errorf("what was imported does not load")
}

func (m *importer) without(lines []string, drop map[int]string) []string {
	var out []string
	for i, line := range lines {
		why, gone := drop[i]
		if !gone {
			out = append(out, line)
			continue
		}
		m.comments = append(m.comments, why)
		m.out.Warnings = append(m.out.Warnings, "0: not taken over: "+why)
		for j := i + 1; j < len(lines) && indent(lines[j]) > indent(line); j++ { // its children
			drop[j] = "it belongs to " + strings.TrimSpace(strings.SplitN(line, ":", 2)[0])
		}
	}
	for i := len(out) - 1; i >= 0; i-- { // headings without a body
		if strings.HasSuffix(out[i], ":") && (i == len(out)-1 || indent(out[i+1]) <= indent(out[i])) {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
