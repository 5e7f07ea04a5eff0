package web

import (
	"os"
	"strconv"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// TestPageInBrowser walks through the page as a person would.
func TestPageInBrowser(t *testing.T) {
	b := openBrowser(t)
	f, srv := serveDemo(t, 24)
	b.look(1280, 900, false)
	b.visit(srv.URL + "/")
	b.until(`document.querySelectorAll('#rows .row').length >= 10 && document.getElementById('live').textContent === 'live'`)
	b.shot("list-light")
	for _, label := range []string{"Stuck", "Unknown", "On its way", "Proven", "Off"} {
		b.until(`[...document.querySelectorAll('#states button')].some(x => x.textContent.includes('` + label + `'))`)
	}
	if title := b.eval("document.title"); title != "slipway" {
		t.Errorf("a machine's words ran as a script: the title is %q", title)
	}
	if n := b.eval("document.querySelectorAll('img[src=x], #main script').length"); n != "0" {
		t.Errorf("a machine's words became %s elements of the page", n)
	}

	began := time.Now()
	f.Record(fleet.Event{Client: "52:54:00:00:00:04", Kind: fleet.KindDiscover, Stage: fleet.StageFirmware})
	b.until(`document.querySelector('a[href="/machine/node5"]') && document.querySelector('a[href="/machine/node5"]').className.includes('waiting')`)
	t.Logf("a change was visible after %v", time.Since(began))

	b.eval(`(() => { const s = document.getElementById('search'); s.value = 'status 502'; s.dispatchEvent(new Event('input')); })()`)
	b.until(`document.querySelectorAll('#rows .row').length === 5`)
	b.eval(`document.querySelector('a[href="/machine/node4"]').click()`)
	b.until(`document.querySelector('h1') && document.querySelector('h1').textContent === 'node4' && document.querySelector('.why.stuck')`)
	b.until(`document.querySelector('.why').textContent.includes('What helps')`)
	b.until(`document.querySelector('pre').textContent.includes('<script>')`)
	b.shot("machine-light")

	b.eval(`document.getElementById('reinstall').click()`)
	b.until(`document.getElementById('confirm').open`)
	b.shot("confirm")
	b.eval(`document.getElementById('confirm-yes').click()`)
	b.until(`document.getElementById('toast').textContent === 'Reinstall: done'`)

	b.look(1280, 900, true)
	b.shot("machine-dark")
	b.visit(srv.URL + "/machine/node3")
	b.until(`document.querySelector('.why.waiting [role=progressbar]') || document.querySelector('.why.stuck')`)
	b.shot("installing-dark")
	b.visit(srv.URL + "/machine/52:54:00:99:00:01")
	b.until(`document.getElementById('approve') && document.body.textContent.includes('Intel N100')`)
	b.until(`document.body.textContent.includes('serial:S6P7NX0T') && document.getElementById('approve-name').value === 'node-990001'`)
	b.eval(`(() => { const n = document.getElementById('approve-name'); n.value = 'db7'; n.dispatchEvent(new Event('input')); document.querySelector('summary').click(); })()`)
	b.until(`document.body.textContent.includes('name: db7') && document.getElementById('rehearsal').offsetHeight > 0 && document.getElementById('rehearsal').textContent.includes('"db7.yaml"')`)
	b.shot("unknown-dark")
	b.look(1280, 900, false)
	b.shot("unknown-light")
	b.look(390, 844, false)
	b.until(`document.documentElement.scrollWidth <= 390`)
	b.eval(`document.getElementById('approve-name').scrollIntoView()`)
	b.shot("unknown-phone")
	b.look(1280, 900, true)
	b.eval(`document.getElementById('approve').click()`)
	b.until(`document.getElementById('confirm').open && document.getElementById('confirm-text').textContent.includes('becomes db7')`)
	b.shot("approve-dark")
	b.eval(`document.getElementById('confirm-yes').click()`)
	b.until(`document.getElementById('toast').textContent === 'Approve: done'`)
	b.visit(srv.URL + "/")
	b.until(`document.querySelectorAll('#rows .row').length >= 10`)
	b.shot("list-dark")
	b.look(390, 844, false)
	b.until(`document.documentElement.scrollWidth <= 390`)
	b.shot("list-phone")
	b.visit(srv.URL + "/machine/node4")
	b.until(`document.querySelector('.why.stuck') && document.documentElement.scrollWidth <= 390`)
	b.shot("machine-phone")
}

// TestTenThousandMachinesInBrowser wants a list that stays quick.
func TestTenThousandMachinesInBrowser(t *testing.T) {
	if os.Getenv("SLIPWAY_TIER") == "" {
		t.Skip("takes long on a busy host: SLIPWAY_TIER=boot")
	}
	b := openBrowser(t)
	_, srv := serveDemo(t, 10000)
	b.look(1280, 900, false)
	b.visit(srv.URL + "/")
	b.until(`document.getElementById('live').textContent === 'live' && document.querySelectorAll('#rows .row').length >= 10`)
	if n, _ := strconv.Atoi(b.eval(`document.querySelectorAll('#rows .row').length`)); n > 60 {
		t.Errorf("%d rows are in the page: the list is not virtual", n)
	}
	b.eval(`window.scrollTo(0, document.body.scrollHeight)`)
	b.until(`[...document.querySelectorAll('#rows .row')].some(r => r.getAttribute('aria-rowindex') === '10002')`)
	ms, err := strconv.ParseFloat(b.eval(`(() => { const t = performance.now(); for (let i = 0; i < 10; i++) { choose(); drawStates(); drawRows(); } return (performance.now() - t) / 10; })()`), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("sorting and drawing 10,000 machines takes %.1f ms", ms)
	if ms > 500 {
		t.Errorf("drawing takes %.0f ms", ms)
	}
}
