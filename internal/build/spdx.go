package build

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"slipway/internal/plan"
)

// billOfMaterials lists the packages of a machine with versions and hashes, in
// SPDX 2.3 JSON (https://spdx.github.io/spdx-spec/v2.3/).
func billOfMaterials(r *Result) ([]byte, error) {
	d, lock := r.Prepared.Definition, r.Prepared.Lock
	doc := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: d.Name,
		Namespace: "https://slipway.invalid/spdx/" + d.Name + "/" + r.Key,
		Creation:  spdxCreation{Created: lock.Date.UTC().Format(time.RFC3339), Creators: []string{"Tool: slipway"}},
	}
	distribution, release, _ := cut(d.System)
	for _, p := range r.Prepared.Packages() {
		pkg := spdxPackage{
			ID: spdxID(p), Name: p.Name, Version: p.Version, Location: "NOASSERTION", FilesAnalyzed: false,
			Concluded: "NOASSERTION", Declared: "NOASSERTION", Copyright: "NOASSERTION",
			Checksums: []spdxChecksum{{"SHA256", p.SHA256}},
			Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:" + d.Family() + "/" + distribution + "/" + url.PathEscape(p.Name) + "@" +
				url.PathEscape(p.Version) + "?arch=" + p.Arch + "&distro=" + release}},
		}
		doc.Packages = append(doc.Packages, pkg)
		doc.Relationships = append(doc.Relationships, spdxRelationship{"SPDXRef-DOCUMENT", "DESCRIBES", pkg.ID})
	}
	text, err := json.MarshalIndent(doc, "", " ")
	return append(text, '\n'), err
}

// spdxID holds only letters, digits, dots and hyphens (clause 3.2).
func spdxID(p plan.Package) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, p.Name+"-"+p.Arch+"-"+p.Version)
	return "SPDXRef-Package-" + clean
}

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Version       string         `json:"versionInfo"`
	Location      string         `json:"downloadLocation"`
	FilesAnalyzed bool           `json:"filesAnalyzed"`
	Concluded     string         `json:"licenseConcluded"`
	Declared      string         `json:"licenseDeclared"`
	Copyright     string         `json:"copyrightText"`
	Checksums     []spdxChecksum `json:"checksums"`
	Refs          []spdxRef      `json:"externalRefs"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}
