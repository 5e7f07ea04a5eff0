package machine

// Secrets are the references to all values that end in the machine's root and
// stand in no definition: contents of files, and hashes of passwords.
func (d *Definition) Secrets() []Secret {
	var out []Secret
	for _, f := range d.Files {
		if f.Secret != nil {
			out = append(out, *f.Secret)
		}
	}
	for _, u := range d.Users {
		if u.Password != nil {
			out = append(out, Secret{File: u.Password.HashFile, Env: u.Password.HashEnv})
		}
	}
	return out
}
