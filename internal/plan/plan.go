package plan

// Plan is what a build would do; its JSON form is a contract (docs/design.md,
// section 4).
type Plan struct {
	Machine    string           `json:"machine"`
	System     string           `json:"system"`
	Class      Class            `json:"class"`
	Packages   []PlannedPackage `json:"packages"`
	FetchBytes int64            `json:"fetch_bytes"`
	Steps      []string         `json:"steps"`
	Notes      []string         `json:"notes"`
}

// PlannedPackage is one package of a plan. ImpliedBy is the key that brings
// it; it is empty for what was asked for, for the base and for dependencies.
type PlannedPackage struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Arch      string `json:"arch"`
	ImpliedBy string `json:"implied_by"`
}
