package export

import "encoding/xml"

// domain is the root element; the order of fields is that of libvirt's own
// output, where the schema leaves it open.
type domain struct {
	XMLName       xml.Name       `xml:"domain"`
	Type          string         `xml:"type,attr"`
	Name          string         `xml:"name"`
	UUID          string         `xml:"uuid"`
	Metadata      metadata       `xml:"metadata"`
	Memory        amount         `xml:"memory"`
	MemoryBacking *memoryBacking `xml:"memoryBacking"`
	VCPU          vcpu           `xml:"vcpu"`
	CPUTune       *cpuTune       `xml:"cputune"`
	OS            domainOS       `xml:"os"`
	Features      *features      `xml:"features"`
	CPU           cpu            `xml:"cpu"`
	Clock         clock          `xml:"clock"`
	OnPoweroff    string         `xml:"on_poweroff"`
	OnReboot      string         `xml:"on_reboot"`
	OnCrash       string         `xml:"on_crash"`
	Devices       devices        `xml:"devices"`
}

// metadata is what libvirt keeps without understanding it; every application
// has one element in a name space of its own.
type metadata struct {
	Export exported `xml:"slipway:export"`
}

type exported struct {
	Space     string `xml:"xmlns:slipway,attr"`
	System    string `xml:"system,attr"`
	Autostart string `xml:"autostart,attr"` // libvirt has no element for it
}

type amount struct {
	Unit  string `xml:"unit,attr"`
	Value int64  `xml:",chardata"`
}

// memoryBacking lets the server of a shared folder see the guest's memory.
type memoryBacking struct {
	Source typed  `xml:"source"`
	Access access `xml:"access"`
}

type access struct {
	Mode string `xml:"mode,attr"`
}

type vcpu struct {
	Placement string `xml:"placement,attr"`
	CPUSet    string `xml:"cpuset,attr,omitempty"`
	Count     int    `xml:",chardata"`
}

type cpuTune struct {
	Pins []vcpuPin `xml:"vcpupin"`
}

type vcpuPin struct {
	VCPU   int    `xml:"vcpu,attr"`
	CPUSet string `xml:"cpuset,attr"`
}

type domainOS struct {
	Firmware string   `xml:"firmware,attr,omitempty"` // efi: libvirt finds the image
	Type     osType   `xml:"type"`
	Kernel   string   `xml:"kernel,omitempty"`
	Initrd   string   `xml:"initrd,omitempty"`
	Cmdline  string   `xml:"cmdline,omitempty"`
	Boot     *bootDev `xml:"boot"`
	BIOS     *bios    `xml:"bios"`
}

type osType struct {
	Arch    string `xml:"arch,attr"`
	Machine string `xml:"machine,attr"`
	Value   string `xml:",chardata"`
}

type bootDev struct {
	Dev string `xml:"dev,attr"`
}

type bios struct {
	UseSerial string `xml:"useserial,attr"`
}

type features struct {
	ACPI *struct{} `xml:"acpi"`
	APIC *struct{} `xml:"apic"`
}

type cpu struct {
	Mode  string    `xml:"mode,attr"`
	Match string    `xml:"match,attr,omitempty"`
	Model *cpuModel `xml:"model"`
}

type cpuModel struct {
	Fallback string `xml:"fallback,attr"`
	Name     string `xml:",chardata"`
}

type clock struct {
	Offset string `xml:"offset,attr"`
}
