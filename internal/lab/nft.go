package lab

import (
	"errors"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ifname is an interface name as nftables compares it.
func ifname(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}

// fromSubnet matches packets whose IPv4 source is in p.
func fromSubnet(p netip.Prefix) []expr.Any {
	mask := binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - p.Bits()))
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// translate makes the host's table: lab addresses leave as the host's own.
func translate(table, veth string, lab netip.Prefix) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(&nftables.Table{Name: table, Family: nftables.TableFamilyIPv4})
	post := c.AddChain(&nftables.Chain{
		Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	exprs := append(fromSubnet(lab),
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(veth)},
		&expr.Masq{},
	)
	c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: exprs})
	return c.Flush()
}

// dropTable removes the host's table; none is no error.
func dropTable(table string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.DelTable(&nftables.Table{Name: table, Family: nftables.TableFamilyIPv4})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// The gate is a table inside the lab: what is forwarded must come from a
// machine in the set, or answer one.
const (
	gateTable = "slipway"
	gateSet   = "outside"
)

func makeGate(ns *os.File) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())))
	if err != nil {
		return err
	}
	drop := nftables.ChainPolicyDrop
	t := c.AddTable(&nftables.Table{Name: gateTable, Family: nftables.TableFamilyIPv4})
	set := &nftables.Set{Table: t, Name: gateSet, KeyType: nftables.TypeIPAddr}
	if err := c.AddSet(set, nil); err != nil {
		return err
	}
	chain := c.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
		accept,
	}})
	established := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: established, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		accept,
	}})
	return c.Flush()
}

// passGate adds an address to the set or takes it away; both may be so already.
func passGate(ns *os.File, ip netip.Addr, pass bool) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())))
	if err != nil {
		return err
	}
	set := &nftables.Set{Table: &nftables.Table{Name: gateTable, Family: nftables.TableFamilyIPv4}, Name: gateSet, KeyType: nftables.TypeIPAddr}
	elements := []nftables.SetElement{{Key: ip.AsSlice()}}
	if pass {
		err = c.SetAddElements(set, elements)
	} else {
		err = c.SetDeleteElements(set, elements)
	}
	if err != nil {
		return err
	}
	if err := c.Flush(); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
