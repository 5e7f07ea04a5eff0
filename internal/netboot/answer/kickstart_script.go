package answer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// curl fetches and posts in Anaconda's own system.
const (
	curlGet  = "curl -fsS -o /dev/null --retry 3 --max-time 20"
	curlPost = "curl -fsS -o /dev/null --max-time 60 --data-binary @%s %s"
)

// scripts are the sections that run: before, after, and when something failed.
// They return the files that the last one fetches.
func (k *ks) scripts() []File {
	s := newSetup(k.d)
	s.accounts(native)
	s.keys(native)
	s.sudo()
	s.files()
	s.kernel()
	s.run()
	k.err = errors.Join(append(s.errs, k.err)...)
	k.before()
	files := k.fetched(s)
	if body := s.out.String(); strings.Count(body, "\n") > 2 {
		k.line("\n%%post --erroronfail --log=/root/slipway-post.log\n%s%%end", body)
	}
	k.line("\n%%post --nochroot")
	k.line("%s", sendLog(k.f, curlPost, "anaconda.log", "/tmp/anaconda.log"))
	k.line("%s\n%%end", report(k.f, curlGet, "installed", k.d.Name))
	k.line("\n%%onerror")
	k.line("%s", sendLog(k.f, curlPost, "anaconda.log", "/tmp/anaconda.log"))
	k.line("%s\n%%end", report(k.f, curlGet, "failed", "Anaconda stopped"))
	return files
}

// before reports that the installer runs, and finds the disk if it is not named
// by a path.
func (k *ks) before() {
	k.line("\n%%pre --erroronfail --interpreter=/bin/bash")
	k.line("%s", report(k.f, curlGet, "installer", "anaconda"))
	k.line("fail() { %s; echo \"slipway: $why\" >/dev/console; exit 1; }", reportWhy(k.f, curlGet))
	k.line("(\n%s\n) || exit 1", strings.TrimSuffix(k.choose(), "\n"))
	k.line("%%end")
}

// reportWhy tells the server the reason in the shell's variable why.
func reportWhy(f Facts, fetch string) string {
	if f.Report == "" {
		return "true"
	}
	sep := "?"
	if strings.Contains(f.Report, "?") {
		sep = "&"
	}
	return fmt.Sprintf(`%s %s"$(printf %%s "$why" | sed 's/[^A-Za-z0-9._-]/+/g')" || true`, fetch, quote(f.Report+sep+"stage=failed&text="))
}

// choose looks for the disk; what is wrong stops the installation before
// anything is written.
func (k *ks) choose() string {
	script := findDisk(k.f)
	if k.diskName() != "" {
		return script
	}
	var b strings.Builder
	b.WriteString(script)
	b.WriteString("cat >/tmp/slipway-disk <<SLIPWAY-END\n")
	for _, line := range diskLines(k.d, "${disk#/dev/}") {
		b.WriteString(line + "\n")
	}
	b.WriteString("SLIPWAY-END\n")
	return b.String()
}

// fetched brings secret contents into the installed system, from the token's
// address, and lists them as files of the answer.
func (k *ks) fetched(s *setup) []File {
	if len(s.secrets) == 0 {
		return nil
	}
	k.line("\n%%post --nochroot --erroronfail\numask 077\nmkdir -p /mnt/sysroot%s", secretDir)
	files := secretFiles(s)
	for _, f := range files {
		k.line("curl -fsS --retry 3 -o /mnt/sysroot%s/%s %s", secretDir, strings.TrimPrefix(f.Name, "file/"), quote(k.f.Base+f.Name))
	}
	k.line("%%end")
	return files
}

// secretFiles are the contents that a machine fetches apart.
func secretFiles(s *setup) []File {
	var out []File
	for i, data := range s.secrets {
		out = append(out, File{Name: fmt.Sprintf("file/%d", i), Type: "application/octet-stream", Data: data, Secret: true})
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out
}
