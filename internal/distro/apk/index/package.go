// Package index reads what an Alpine index says of packages (APKINDEX), and
// writes the same lines as the machine's own database has them.
//
// An entry is a block of lines "letter:value"; the letters are those of
// apk-tools 2. An unknown capital letter means a package that this program
// cannot install; small ones may be ignored. Signatures are package archive's
// affair, files and scripts package apkfile's.
package index

import "strings"

// Package is one entry.
type Package struct {
	Name, Version, Arch string
	Identity            string // "Q1" and the SHA-1 of the control segment, in base64
	Size                int64  // of the file, in bytes
	InstalledSize       int64
	Description, URL    string
	License             string
	Origin, Maintainer  string
	Commit              string
	BuildTime           int64
	Priority            int // provider_priority
	Depends             []Dependency
	Provides            []Dependency
	InstallIf           []Dependency

	Repository int    // which of the repositories it is in, from 0
	Local      string // path of a file that was named, instead of a repository
	SHA256     string // of the file, where known
}

// File is the file's name in its repository.
func (p *Package) File() string { return p.Name + "-" + p.Version + ".apk" }

// ID names the package for people.
func (p *Package) ID() string { return p.Name + "-" + p.Version }

// OwnName is the dependency that only this package satisfies under its own name.
func (p *Package) OwnName() string { return p.Name + "=" + p.Version }

// Header writes the lines in the order of the machine's database.
func (p *Package) Header(b *strings.Builder) {
	line := func(letter byte, value string) {
		b.WriteByte(letter)
		b.WriteByte(':')
		b.WriteString(value)
		b.WriteByte('\n')
	}
	optional := func(letter byte, value string) {
		if value != "" {
			line(letter, value)
		}
	}
	line('C', p.Identity)
	line('P', p.Name)
	line('V', p.Version)
	optional('A', p.Arch)
	line('S', itoa(p.Size))
	line('I', itoa(p.InstalledSize))
	line('T', p.Description)
	line('U', p.URL)
	line('L', p.License)
	optional('o', p.Origin)
	optional('m', p.Maintainer)
	if p.BuildTime != 0 {
		line('t', itoa(p.BuildTime))
	}
	optional('c', p.Commit)
	if p.Priority != 0 {
		line('k', itoa(int64(p.Priority)))
	}
	optional('D', Join(p.Depends, " "))
	optional('p', Join(p.Provides, " "))
	optional('i', Join(p.InstallIf, " "))
}

// Before orders names as apk shows them: letters by the alphabet, then capitals.
func Before(a, b string) bool {
	if x, y := strings.ToLower(a), strings.ToLower(b); x != y {
		return x < y
	}
	return a < b
}
