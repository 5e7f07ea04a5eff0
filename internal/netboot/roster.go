package netboot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"slipway/internal/machine"
	"slipway/internal/netboot/dhcp"
)

// Machine is a machine of the fleet, as far as the server must know it at all
// times. Its whole definition is loaded when it is needed.
type Machine struct {
	Name     string
	File     string // definition, or list
	Place    string // file and line, for messages
	Match    machine.Match
	Address  netip.Addr
	Mode     string // ram or install
	Small    bool
	Menu     time.Duration
	Default  string
	Recover  bool
	Hostname string

	load func() (*machine.Definition, error)
}

// Definition loads the machine's definition.
func (m *Machine) Definition() (*machine.Definition, error) { return m.load() }

// NewMachine is a machine of a loaded definition.
func NewMachine(d *machine.Definition, load func() (*machine.Definition, error)) *Machine {
	m := &Machine{
		Name: d.Name, File: d.File, Place: d.At("netboot").String(), Mode: "ram", Hostname: d.Hostname,
		load: load,
	}
	if d.Listed != "" {
		m.File = d.Listed
	}
	if m.Hostname == "" {
		m.Hostname = d.Name
	}
	n := d.Netboot
	if n == nil {
		return m
	}
	if !n.RAM() {
		m.Mode = "install"
	}
	m.Match, m.Small, m.Menu, m.Default, m.Recover = n.Match, n.Small(), n.Menu, n.Default, n.Recover
	m.Address, _ = netip.ParseAddr(n.Address) // its form was checked
	return m
}

// Facts are what is known of a machine that asks.
type Facts struct {
	MAC     string
	UUIDs   []string // in all byte orders in which firmware tells it
	Circuit string   // option 82: of the relay's answer
	Remote  string

	// SMBIOS tells that Serial and Asset are known; DHCP does not say them.
	SMBIOS        bool
	Serial, Asset string
}

// FactsOf are those that a DHCP packet tells.
func FactsOf(r *dhcp.Request) Facts {
	f := Facts{MAC: r.Client}
	for _, u := range []string{r.UUID, r.UUIDRaw} {
		if u != "" {
			f.UUIDs = append(f.UUIDs, strings.ToLower(u))
		}
	}
	if r.Relay != nil {
		f.Circuit, f.Remote = string(r.Relay.Circuit), string(r.Relay.Remote)
	}
	return f
}

// Roster is what a fleet's definitions say at one moment. It does not change.
type Roster struct {
	all      []*Machine
	by       map[string][]*Machine // by "mac 52:54:...", "serial X" and so on
	names    map[string]*Machine
	reserved map[netip.Addr]*Machine
	any      *Machine
}

// NewRoster makes a roster. Machines that cannot be told from others, or share
// a name, are refused with both places; the first of each stays.
func NewRoster(list []*Machine) (*Roster, []error) {
	r := &Roster{by: map[string][]*Machine{}, names: map[string]*Machine{}, reserved: map[netip.Addr]*Machine{}}
	var errs []error
	for _, m := range list {
		if err := r.admit(m); err != nil {
			errs = append(errs, err)
		}
	}
	return r, errs
}

func (r *Roster) admit(m *Machine) error {
	if other := r.names[m.Name]; other != nil {
		return fmt.Errorf("%s: there is another machine %s at %s; give one of them another name", m.Place, m.Name, other.Place)
	}
	if other := r.reserved[m.Address]; other != nil && m.Address.IsValid() {
		return fmt.Errorf("%s: machine %s has the address %s, which %s has too (%s)", m.Place, m.Name, m.Address, other.Name, other.Place)
	}
	if m.Match.Any {
		if r.any != nil {
			return fmt.Errorf("%s: machine %s matches any machine, and so does %s (%s)", m.Place, m.Name, r.any.Name, r.any.Place)
		}
		r.any = m
	}
	keys := keysOf(&m.Match)
	for _, key := range keys {
		for _, other := range r.by[key] {
			if strings.HasPrefix(key, "mac ") || slices.Equal(keysOf(&other.Match), keys) {
				kind, value, _ := strings.Cut(key, " ")
				return fmt.Errorf("%s: machine %s has the %s %s, which %s has too (%s)", m.Place, m.Name, keyWords[kind], value, other.Name, other.Place)
			}
		}
	}
	for _, key := range keys {
		r.by[key] = append(r.by[key], m)
	}
	r.names[m.Name] = m
	if m.Address.IsValid() {
		r.reserved[m.Address] = m
	}
	r.all = append(r.all, m)
	return nil
}

var keyWords = map[string]string{"mac": "hardware address", "uuid": "UUID", "serial": "serial number", "asset": "asset tag", "port": "switch port"}

// keysOf are the places of the index under which a machine is found.
func keysOf(m *machine.Match) (keys []string) {
	for _, mac := range m.MAC {
		keys = append(keys, "mac "+strings.ToLower(mac))
	}
	for _, k := range []struct{ kind, value string }{
		{"uuid", strings.ToLower(m.UUID)}, {"serial", m.Serial}, {"asset", m.Asset}, {"port", m.SwitchPort},
	} {
		if k.value != "" {
			keys = append(keys, k.kind+" "+k.value)
		}
	}
	return keys
}

// Find finds the machine that facts belong to: the one with the most that is
// right, and otherwise the one that matches any. nil: it is unknown.
func (r *Roster) Find(f Facts) *Machine {
	var best *Machine
	most := 0
	for _, key := range f.keys() {
		for _, m := range r.by[key] {
			if n := f.fits(&m.Match); n > most {
				best, most = m, n
			}
		}
	}
	if best == nil {
		return r.any
	}
	return best
}

func (f *Facts) keys() []string {
	keys := []string{"mac " + strings.ToLower(f.MAC)}
	for _, u := range f.UUIDs {
		keys = append(keys, "uuid "+u)
	}
	if f.Serial != "" {
		keys = append(keys, "serial "+f.Serial)
	}
	if f.Asset != "" {
		keys = append(keys, "asset "+f.Asset)
	}
	if f.Circuit != "" {
		keys = append(keys, "port "+f.Circuit, "port "+f.Remote+"/"+f.Circuit)
	}
	return keys
}

// fits counts what is right; 0: something is wrong. What is not known yet is
// not wrong.
func (f *Facts) fits(m *machine.Match) (right int) {
	check := func(given, known, ok bool) bool {
		if given && known && ok {
			right++
		}
		return !given || !known || ok
	}
	ok := check(len(m.MAC) > 0, true, slices.ContainsFunc(m.MAC, func(mac string) bool { return strings.EqualFold(mac, f.MAC) })) &&
		check(m.UUID != "", len(f.UUIDs) > 0 || f.SMBIOS, slices.Contains(f.UUIDs, strings.ToLower(m.UUID))) &&
		check(m.Serial != "", f.SMBIOS, m.Serial == f.Serial) &&
		check(m.Asset != "", f.SMBIOS, m.Asset == f.Asset) &&
		check(m.SwitchPort != "", f.Circuit != "" || f.SMBIOS, m.SwitchPort == f.Circuit || m.SwitchPort == f.Remote+"/"+f.Circuit)
	if !ok {
		return 0
	}
	return right
}

// Named finds a machine by its name; nil: there is none.
func (r *Roster) Named(name string) *Machine { return r.names[name] }

// Reserved tells whether an address belongs to a machine.
func (r *Roster) Reserved(a netip.Addr) bool { return r.reserved[a] != nil }

// Machines lists all, in the order of their files.
func (r *Roster) Machines() []*Machine { return r.all }
