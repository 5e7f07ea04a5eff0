package kit

import "testing"

func TestMain(m *testing.M) { Main(m) }

// The toy archive is what most end-to-end tests stand on.
func TestToyBuilds(t *testing.T) {
	NeedMachines(t)
	toy := NewToy(t)
	w := NewWorld(t)
	file := Write(t, w.Dir, "toy.yaml", toy.Definition("toy", "packages: [toy]\n"))
	r := w.Must("build", file)
	t.Logf("built in %v\n%s", r.Took, r.Text())
}
