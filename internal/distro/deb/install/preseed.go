package install

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/distro/deb/debfile"
)

// Preseed answers debconf's questions before the packages that ask them are
// configured. A key is the question ("postfix/main_mailer_type"), whose owner
// is then the part before the slash, or owner and question with a blank
// between them. packages are those that will ask: their templates tell the
// questions' types; a question of none of them is taken as a string.
//
// The tree must hold a configured debconf. As debconf-set-selections(1) does,
// the answers are marked as seen.
func (in *Installer) Preseed(ctx context.Context, answers map[string]string, packages ...Package) error {
	if len(answers) == 0 {
		return nil
	}
	if !in.root.Exists("usr/bin/debconf-set-selections") {
		return fmt.Errorf("answering debconf's questions: the base set holds no debconf; add the package debconf to it")
	}
	types, err := in.questionTypes(ctx, packages)
	if err != nil {
		return fmt.Errorf("answering debconf's questions: %w", err)
	}
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(answers)) {
		line, err := selection(key, answers[key], types)
		if err != nil {
			return err
		}
		b.WriteString(line)
	}
	output, err := in.exec(ctx, []string{"debconf-set-selections"}, in.environment(), &b)
	if err != nil {
		return &ScriptError{Script: "debconf-set-selections", ExitCode: exitCode(err), Output: output, Err: err}
	}
	return nil
}

// selection is one line of debconf-set-selections: owner, question, type and
// value, with single blanks between them.
func selection(key, value string, types map[string]string) (string, error) {
	owner, question, both := strings.Cut(key, " ")
	if !both {
		question = key
		owner, _, _ = strings.Cut(key, "/")
	}
	if owner == "" || question == "" || strings.ContainsAny(owner+question, " \t\n#") || !strings.Contains(question, "/") {
		return "", fmt.Errorf("debconf question %q: want \"question\" or \"owner question\", as in postfix/main_mailer_type", key)
	}
	kind := types[question]
	if kind == "" {
		kind = "string"
	}
	if strings.Contains(value, "\n") {
		return "", fmt.Errorf("debconf question %q: the answer has more than one line, which debconf-set-selections cannot take", key)
	}
	return fmt.Sprintf("%s %s %s %s\n", owner, question, kind, value), nil
}

// questionTypes collects the types of questions from packages' templates.
func (in *Installer) questionTypes(ctx context.Context, packages []Package) (map[string]string, error) {
	types := map[string]string{}
	for _, r := range in.db.records {
		data, err := in.root.Read(infoDir + "/" + r.key() + ".templates")
		if err == nil {
			addTypes(types, data)
		}
	}
	for _, p := range packages {
		pack, err := in.opt.Open(ctx, p.SHA256)
		if err != nil {
			return nil, err
		}
		data, _ := pack.ControlData("templates")
		addTypes(types, data)
		pack.Close()
	}
	return types, nil
}

// addTypes reads templates (debconf-devel(7)); what is no template is skipped.
func addTypes(types map[string]string, data []byte) {
	for len(data) > 0 {
		p, rest, err := debfile.ParseParagraph(data)
		if err != nil {
			return
		}
		if name := p.Value("Template"); name != "" {
			types[name] = p.Value("Type")
		}
		data = rest
	}
}
