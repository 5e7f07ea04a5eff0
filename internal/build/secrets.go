package build

import (
	"bytes"
	"fmt"
	"os"

	"slipway/internal/machine"
)

// secrets are the values behind a definition's references. They are handed to
// the worker over its private socket and never stand in a file but the
// machine's own.
type secrets struct {
	Values map[string][]byte // by reference, see secretName
}

func secretName(s machine.Secret) string { return s.File + "\x00" + s.Env }

// readSecrets reads what the secrets layer needs, if it is to be made.
func (b *Builder) readSecrets(d *machine.Definition, layers []Layer) (*secrets, error) {
	if layers[len(layers)-1].Kind != "secrets" {
		return nil, nil
	}
	out := &secrets{Values: map[string][]byte{}}
	for _, ref := range d.Secrets() {
		data, err := readSecret(ref)
		if err != nil {
			return nil, fmt.Errorf("%s: reading a secret: %w", d.File, err)
		}
		out.Values[secretName(ref)] = data
	}
	return out, nil
}

func (s *secrets) get(ref machine.Secret) ([]byte, error) {
	if s != nil {
		if data, ok := s.Values[secretName(ref)]; ok {
			return data, nil
		}
	}
	return nil, fmt.Errorf("secret %s%s was not handed to the build", ref.File, ref.Env)
}

// readSecret reads the value behind a reference; one final newline is not part of it.
func readSecret(ref machine.Secret) ([]byte, error) {
	if ref.Env != "" {
		value, ok := os.LookupEnv(ref.Env)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s is not set", ref.Env)
		}
		return []byte(value), nil
	}
	data, err := os.ReadFile(ref.File)
	return bytes.TrimSuffix(data, []byte("\n")), err
}
