package fleet

// Kinds of events. A server may add its own below its prefix; what stands here
// is what the timeline and the causes read. See docs/netboot.md.
const (
	KindDiscover  = "dhcp.discover"  // fields arch, vendor_class, user_class, xid
	KindOffer     = "dhcp.offer"     // what was answered; fields file, server
	KindRequest   = "dhcp.request"   // fields server: whose offer it takes
	KindAck       = "dhcp.ack"       // acknowledged: Address is its address
	KindNak       = "dhcp.nak"       // refused, Problem says why
	KindDecline   = "dhcp.decline"   // the client found its address in use
	KindInform    = "dhcp.inform"    //
	KindRelease   = "dhcp.release"   //
	KindProxy     = "dhcp.proxy"     // a boot answer beside a foreign server's
	KindBootReq   = "dhcp.pxe"       // asked for its boot file on port 4011
	KindRival     = "dhcp.rival"     // another server answered; fields server
	KindExhausted = "dhcp.exhausted" // no address is free; fields pool

	KindTFTPStart = "tftp.start" // fields file
	KindTFTPDone  = "tftp.done"  // the last block was acknowledged; fields file
	KindTFTPProbe = "tftp.probe" // asked for the size alone; no fault
	KindTFTPAbort = "tftp.abort" // given up by the client, or it went silent; fields file
	KindTFTPError = "tftp.error" // refused: no such file, outside the root; fields file

	KindHTTPStart    = "http.start"    // fields file, url, method
	KindHTTPProgress = "http.progress" // Bytes of Total so far; at most one a second
	KindHTTPDone     = "http.done"     // every byte was taken; fields file, status
	KindHTTPAbort    = "http.abort"    // the client left before the end
	KindHTTPMissing  = "http.missing"  // 404
	KindHTTPRefused  = "http.refused"  // 403: token wrong, late, or another client's
	KindHTTPRedirect = "http.redirect" // a boot file was asked for below another path: a proxy rewrote it
	KindHTTPBusy     = "http.busy"     // told to come back later

	KindScript = "script.served" // the machine's script was asked for and read

	KindNodeInit      = "node.init"      // our init runs; fields version, memory
	KindNodeNetwork   = "node.network"   // it has an address by itself
	KindNodeReport    = "node.report"    // phone-home; Stage says how far
	KindNodeProgress  = "node.progress"  // Bytes of Total of what it does, Text says what
	KindNodeProblem   = "node.problem"   // it cannot go on; Problem, and cause in Fields
	KindNodeInventory = "node.inventory" // its hardware was reported
	KindNodeLog       = "node.log"       // a line of its log (syslog, hook); fields severity, program
	KindConsole       = "console"        // a line of its console

	KindProven = "version.proven" // a system in RAM proved itself; fields version
	KindBack   = "version.back"   // the last good version is handed out, not the newest; fields version, passed

	KindInstallBegin = "install.begin"  // an installer begins to write
	KindInstallDone  = "install.done"   // all is written and read back
	KindInstallFail  = "install.failed" // Problem says why

	KindProbeOK   = "probe.ok"     // fields probe
	KindProbeFail = "probe.failed" // fields probe; Problem is its reason

	KindGrant  = "grant"        // a grant was given, used, consumed ...; fields id, state
	KindWake   = "power.wake"   // somebody woke it
	KindPower  = "power.on"     // power was switched on by us
	KindServer = "server.start" // the server itself; no client
)

// Names of Fields that causes and pages read.
const (
	FieldArch        = "arch"         // client architecture, as IANA names it
	FieldVendorClass = "vendor_class" // option 60
	FieldUserClass   = "user_class"   // option 77
	FieldFile        = "file"         // file or artefact, as people know it
	FieldURL         = "url"
	FieldServer      = "server" // address of the server that a packet came from or is meant for
	FieldStatus      = "status" // HTTP status
	FieldCause       = "cause"  // one of the Cause names, where the reporter knows it
	FieldProbe       = "probe"
	FieldVersion     = "version"  // digest or name of what runs or is served
	FieldPassed      = "passed"   // version that is not handed out
	FieldMemory      = "memory"   // bytes of RAM
	FieldNeed        = "need"     // bytes of RAM, or whatever else was asked for
	FieldDisk        = "disk"     // the selector that matched nothing
	FieldSeverity    = "severity" // of a log line: emerg, alert, crit, err, warning, notice, info, debug
	FieldProgram     = "program"
)
