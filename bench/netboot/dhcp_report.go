package main

import (
	"fmt"
	"slices"
	"strings"
)

// dhcpTable is the part of the page about DHCP.
func dhcpTable(b *bench, all map[string][]dhcpResult) string {
	var out strings.Builder
	fmt.Fprintf(&out, "## DHCP: DISCOVER to ACK, %d new clients\n\n", b.clients)
	out.WriteString("Median of the rounds and their spread; a lease counts from the first DISCOVER to the ACK, and a packet without an\n" +
		"answer is sent again after a second. Each server is as it is by default, with a new lease file on the same disk,\n" +
		"and was started three seconds before: slipway has then asked the network for the addresses that it offers.\n")
	for i, n := range underWay {
		fmt.Fprintf(&out, "\n%d machines under way at once:\n\n| server | by default | leases/s | p50 ms | p99 ms | sent again | slipway is |\n|---|---|---|---|---|---|---|\n", n)
		ours := 0.0
		for _, p := range dhcpPeers {
			var rates, p50, p99, resent []float64
			for _, r := range all[p.name] {
				l := r.loads[i]
				rates = append(rates, float64(l.Done)/l.Seconds)
				p50 = append(p50, l.P50.Seconds()*1000)
				p99 = append(p99, l.P99.Seconds()*1000)
				resent = append(resent, float64(l.Again))
			}
			ratio := ""
			if p.name == dhcpPeers[0].name {
				ours = median(rates)
			} else if m := median(rates); m > 0 {
				ratio = fmt.Sprintf("%.1f ×", ours/m)
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s |\n", p.name, p.durable, spread(rates, "%.0f"), spread(p50, "%.1f"), spread(p99, "%.1f"), spread(resent, "%.0f"), ratio)
		}
	}
	fmt.Fprintf(&out, "\nperfdhcp, as many others at %d a second without repeats: how many got an ACK, and the average and longest delay of\n"+
		"both halves together:\n\n| server | ACKs | average ms | longest ms |\n|---|---|---|---|\n", b.clients)
	for _, p := range dhcpPeers {
		var acks, avg, longest []float64
		for _, r := range all[p.name] {
			acks, avg, longest = append(acks, float64(r.perf.acks)), append(avg, r.perf.avg), append(longest, r.perf.max)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", p.name, spread(acks, "%.0f"), spread(avg, "%.1f"), spread(longest, "%.0f"))
	}
	return out.String()
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

func spread(v []float64, format string) string {
	if len(v) == 0 {
		return "-"
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(v), slices.Min(v), slices.Max(v))
}
