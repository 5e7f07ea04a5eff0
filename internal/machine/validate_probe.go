package machine

import (
	"fmt"
	"strings"
)

// probes checks names, their order, and that each can work on this machine.
func (v *validator) probes() {
	index := map[string]int{}
	for i, p := range v.d.Probes {
		key := fmt.Sprintf("probes.%d", i)
		if first, dup := index[p.Name]; dup {
			v.at(key+".name", p.Name, fmt.Sprintf("probe %q is given by entry %d as well", p.Name, first), "")
		} else {
			index[p.Name] = i
		}
		v.probe(key, p)
	}
	for i, p := range v.d.Probes {
		v.after(fmt.Sprintf("probes.%d", i), p, index)
	}
}

// after checks that the probe to wait for exists and does not wait for this one.
func (v *validator) after(key string, p Probe, index map[string]int) {
	if p.After == "" {
		return
	}
	if _, ok := index[p.After]; !ok {
		var names []string
		for _, o := range v.d.Probes {
			names = append(names, o.Name)
		}
		v.at(key+".after", p.After, fmt.Sprintf("there is no probe %q", p.After), orElse(didYouMean(nearest(p.After, names)), "probes: "+strings.Join(names, ", ")))
		return
	}
	chain := []string{p.Name}
	for at := p.After; at != ""; {
		chain = append(chain, at)
		if at == p.Name {
			v.at(key+".after", p.After, "probes wait for one another: "+strings.Join(chain, " -> "), "")
			return
		}
		i, ok := index[at]
		if !ok || len(chain) > len(v.d.Probes)+1 {
			return
		}
		at = v.d.Probes[i].After
	}
}

// probe checks one probe by itself and against the machine's init.
func (v *validator) probe(key string, p Probe) {
	if p.Every > p.Within {
		v.at(key+".every", "", fmt.Sprintf("every (%s) is longer than within (%s)", p.Every, p.Within), "")
	}
	if p.Within <= 0 || p.Every <= 0 {
		v.at(key, "", "within and every must be above zero", "")
	}
	if why := v.impossible(p); why != "" {
		v.at(key, p.Kind(), fmt.Sprintf("a probe %q cannot work here: %s", p.Kind(), why), "remove the probe or change init")
	}
	switch {
	case p.FileCheck != nil:
		v.fileProbe(key+".file", p.FileCheck)
	case p.TLS != nil && p.TLS.CA != "" && !*p.TLS.Verify:
		v.at(key+".tls.ca", "", "ca is given and verify is false", "remove one of them")
	case p.Log != nil && p.Log.Unit != "" && p.Log.File != "":
		v.at(key+".log", "", "unit and file exclude one another", "a file has no units")
	}
}

// fileProbe refuses checks of a file that must not exist.
func (v *validator) fileProbe(key string, f *FileProbe) {
	v.insidePath(key+".path", f.Path)
	looks := f.Contains != "" || f.Content != nil || f.Mode != "" || f.Owner != "" || f.SHA256 != ""
	if !*f.Exists && looks {
		v.at(key, f.Path, "a file that must not exist has no content, mode or owner", "remove exists: false or the other checks")
	}
}

// impossible says why a probe has no way in on this machine, "" if it has one.
func (v *validator) impossible(p Probe) string {
	init := v.d.InitSystem()
	needsUnits := p.Unit != nil || p.NoFailedUnits || p.Backend != nil && p.Backend.Time != "" || p.Log != nil && p.Log.Unit != ""
	switch {
	case needsUnits && init != "systemd" && init != "openrc" && init != "":
		return fmt.Sprintf("init: %s has no services to look at", init)
	case init != "none":
		return ""
	case p.Login != nil || p.SSH != nil || p.HTTP != nil || p.TLS != nil:
		return "with init: none no service runs"
	case p.TCP != nil && p.TCP.Host == "" || p.UDP != nil && p.UDP.Host == "" || p.DNS != nil && p.DNS.Server == "":
		return "with init: none no service runs"
	case p.Log != nil && p.Log.File == "":
		return "with init: none nothing writes a log"
	case p.Limit != nil && p.Limit.Uptime != 0:
		return "with init: none the machine does not boot"
	}
	return ""
}
