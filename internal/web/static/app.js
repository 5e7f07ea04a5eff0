'use strict';
// The page of slipway serve. Whatever comes from machines is put in as text.

const $ = (id) => document.getElementById(id);
const el = (tag, attrs, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k === 'text') e.textContent = v;
    else if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== null && v !== false) e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
};

let info = { stages: [], actions: {}, csrf: '' };
let machines = new Map();
let shown = [];
let filter = { state: '', q: '' };
let current = null; // id of the machine page
let skew = 0; // server's clock minus ours

const words = { proven: 'Proven', waiting: 'On its way', stuck: 'Stuck', off: 'Off', unknown: 'Unknown' };
const order = ['stuck', 'unknown', 'waiting', 'proven', 'off'];

// --- figures as people read them
const bytes = (n) => {
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (n < 1000 || unit === 'TB') return (unit === 'B' || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + unit;
    n /= 1000;
  }
};
const span = (s) => {
  if (s < 0.0005) return '0 s';
  if (s < 1) return Math.round(s * 1000) + ' ms';
  if (s < 10) return s.toFixed(1) + ' s';
  if (s < 60) return Math.round(s) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + String(Math.round(s % 60)).padStart(2, '0') + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d';
};
const ago = (t) => {
  if (!t) return 'never';
  const s = (Date.now() + skew - Date.parse(t)) / 1000;
  if (s < 2) return 'now';
  return (s < 60 ? Math.round(s) + ' s' : s < 3600 ? Math.floor(s / 60) + ' min' : s < 86400 ? Math.floor(s / 3600) + ' h' : Math.floor(s / 86400) + ' d') + ' ago';
};
const clock = (t) => new Date(t).toLocaleTimeString([], { hour12: false }) + '.' + String(new Date(t).getMilliseconds()).padStart(3, '0');

// --- talking to the server
async function get(path) {
  const r = await fetch(path, { headers: { Accept: 'application/json' } });
  if (r.status === 401) { location.href = '/login'; throw new Error('logged out'); }
  const body = await r.json();
  if (!r.ok) throw new Error(body.error);
  return body;
}
async function post(path) {
  const r = await fetch(path, { method: 'POST', headers: { 'X-Slipway-Token': info.csrf } });
  const body = await r.json();
  if (!r.ok) throw new Error(body.error);
  return body;
}

// --- the list: only the rows that can be seen are in the page
function choose() {
  const q = filter.q.toLowerCase();
  shown = [...machines.values()].filter((m) => (!filter.state || m.state === filter.state) && (!q || [m.id, m.address, m.definition, m.stage, m.problem, ...(m.clients || [])].some((v) => v && v.toLowerCase().includes(q))));
  shown.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (a.name ? 0 : 1) - (b.name ? 0 : 1) || collate(a.id, b.id));
}
const collator = new Intl.Collator(undefined, { numeric: true });
const collate = (a, b) => collator.compare(a, b);

function drawStates() {
  const counts = {};
  for (const m of machines.values()) counts[m.state] = (counts[m.state] || 0) + 1;
  const box = $('states');
  const wanted = [['', 'All', machines.size], ...order.map((s) => [s, words[s], counts[s] || 0])];
  if (box.children.length !== wanted.length) {
    box.replaceChildren(...wanted.map(([s, w]) => el('button', { type: 'button', onclick: () => { filter.state = filter.state === s ? '' : s; window.scrollTo(0, 0); draw(); } },
      s && el('span', { class: 'dot ' + s, 'aria-hidden': 'true' }), el('span', { text: w }), el('b', {}))));
  }
  wanted.forEach(([s, , n], i) => {
    box.children[i].setAttribute('aria-pressed', filter.state === s);
    box.children[i].querySelector('b').textContent = n.toLocaleString();
  });
}

const pool = new Map(); // id to row element
function drawRows() {
  const box = $('rows');
  const height = parseInt(getComputedStyle(document.documentElement).getPropertyValue('--row'), 10);
  box.style.height = shown.length * height + 'px';
  const top = box.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / height) - 5);
  const last = Math.min(shown.length, Math.ceil((innerHeight - top) / height) + 5);
  const keep = new Set();
  for (let i = first; i < last; i++) {
    const m = shown[i];
    keep.add(m.id);
    let r = pool.get(m.id);
    if (!r) {
      r = newRow(m);
      pool.set(m.id, r);
      box.append(r);
    }
    r.style.transform = 'translateY(' + i * height + 'px)';
    r.setAttribute('aria-rowindex', i + 2);
    fillRow(r, m);
  }
  for (const [id, r] of pool) if (!keep.has(id)) { r.remove(); pool.delete(id); }
  $('table').setAttribute('aria-rowcount', shown.length + 1);
  $('table').hidden = shown.length === 0;
  $('empty').hidden = shown.length > 0;
  $('empty-text').textContent = machines.size ? 'No machine matches. Clear the search, or choose another state.' : 'Power one on in this network: it appears with its first packet.';
}

function newRow(m) {
  const r = el('a', { role: 'row', href: '/machine/' + encodeURIComponent(m.id), 'data-link': true });
  const cell = (name, ...c) => el('span', { role: 'cell', class: 'cell ' + name }, ...c);
  r.p = {
    dot: el('span', { class: 'dot', 'aria-hidden': 'true' }), name: el('span', { class: 'one' }), sub: el('span', { class: 'one small dim' }),
    steps: el('span', { class: 'steps', 'aria-hidden': 'true' }, ...info.stages.map(() => el('i'))), stage: el('span', { class: 'one small' }),
    bar: el('i'), track: null, prog: el('span', { class: 'one small dim' }), probes: el('span', { class: 'small' }), heard: el('span', { class: 'small dim' }),
  };
  r.p.track = el('span', { class: 'bar', 'aria-hidden': 'true' }, r.p.bar);
  r.p.track.style.display = 'block';
  r.append(cell('c-name name', r.p.dot, el('span', {}, r.p.name, r.p.sub)), cell('c-stage', r.p.steps, r.p.stage), cell('c-progress', r.p.track, r.p.prog), cell('c-probes', r.p.probes), cell('c-heard', r.p.heard));
  return r;
}

function set(e, text) { if (e.textContent !== text) e.textContent = text; }
function cls(e, c) { if (e.className !== c) e.className = c; }

function stageLine(m) {
  if (m.problem && m.state === 'stuck') return m.problem;
  if (m.state === 'off') return 'Not seen yet';
  if (m.state === 'proven') return m.note ? 'proven; it ' + m.note : 'proven';
  if (!m.stage) return words[m.state];
  return m.stage + (m.text ? ': ' + m.text : '');
}

function progressLine(m) {
  const parts = [];
  if (m.state === 'proven' || m.state === 'off') return '';
  if (m.total > 0) parts.push(Math.floor(100 * m.bytes / m.total) + ' %');
  if (m.rate > 0) parts.push(bytes(m.rate) + '/s');
  const left = leftOf(m);
  if (left !== null) parts.push(left > 0 ? 'about ' + span(left) + ' left' : 'any moment');
  return parts.join(', ');
}

function leftOf(m) {
  if (m.left !== undefined && m.left !== null) return Math.max(0, Math.round(m.left - (Date.now() - m.got) / 1000));
  if (m.total > 0 && m.rate > 0) return Math.round((m.total - m.bytes) / m.rate);
  return null;
}

function fillRow(r, m) {
  cls(r, 'row ' + m.state);
  cls(r.p.dot, 'dot ' + m.state);
  set(r.p.name, m.name || m.id);
  set(r.p.sub, [m.address, m.definition || (m.name ? '' : 'no definition')].filter(Boolean).join(' · '));
  [...r.p.steps.children].forEach((i, n) => cls(i, n < m.rank ? 'done' : n === m.rank ? 'done at' : ''));
  set(r.p.stage, stageLine(m));
  cls(r.p.stage, 'one small ' + (m.state === 'stuck' ? 'bad' : m.state === 'proven' ? 'good' : m.state === 'off' ? 'dim' : ''));
  const part = m.total > 0 && m.state !== 'proven' ? m.bytes / m.total : -1;
  r.p.track.style.visibility = part >= 0 ? 'visible' : 'hidden';
  if (part >= 0) r.p.bar.style.transform = 'scaleX(' + Math.min(1, part) + ')';
  set(r.p.prog, progressLine(m));
  set(r.p.probes, m.probes ? m.probes_ok + ' of ' + m.probes : '');
  cls(r.p.probes, 'small ' + (m.probes && m.probes_ok < m.probes ? 'bad' : 'good'));
  set(r.p.heard, ago(m.heard));
  r.setAttribute('aria-label', (m.name || m.id) + ', ' + words[m.state] + ', ' + stageLine(m));
}

let pending = false;
function draw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    if (current !== null) return;
    choose();
    drawStates();
    drawRows();
  });
}

// --- a machine
let detail = null;
let loading = false;
let again = false;
async function load() {
  if (current === null) return;
  if (loading) { again = true; return; }
  loading = true;
  try {
    const d = await get('/api/machines/' + encodeURIComponent(current));
    d.row.got = Date.now();
    if (d.row.id === current || d.node.clients.includes(current)) { detail = d; drawMachine(); }
  } catch (e) {
    $('machine-page').replaceChildren(back(), el('div', { class: 'empty' }, el('h2', { text: 'This machine cannot be shown' }), el('p', { text: e.message })));
  }
  loading = false;
  if (again) { again = false; setTimeout(load, 250); }
}

const back = () => el('a', { href: '/', 'data-link': true, class: 'dim', text: '← All machines' });

function drawMachine() {
  const { row, node, why } = detail;
  if (detail.suggested && document.activeElement && document.activeElement.id === 'approve-name') return; // somebody writes there
  const box = $('machine-page');
  const scroll = [...box.querySelectorAll('[data-scroll]')].map((e) => [e.dataset.scroll, e.scrollTop, e.scrollTop + e.clientHeight > e.scrollHeight - 20]);
  const focused = document.activeElement && document.activeElement.id;
  document.title = (row.name || row.id) + ' · ' + info.title;
  const left = [whyCard(row, why), timelineCard(), detail.console.length && el('div', { class: 'card' }, el('h2', { text: 'Console' }), el('pre', { 'data-scroll': 'console', tabindex: '0', text: detail.console.join('\n') })), eventsCard()];
  const right = [factsCard(row, node), suggestionCard(), probesCard(node), bootsCard(), hardwareCard(), detail.definition && el('div', { class: 'card' }, el('h2', { text: 'Definition' }), el('pre', { tabindex: '0', text: detail.definition }))];
  box.replaceChildren(back(),
    el('div', { class: 'title' }, el('h1', { text: row.name || row.id }), el('span', { class: 'badge ' + row.state, text: words[row.state] }), buttons(row)),
    el('div', { class: 'grid' }, el('div', {}, ...left.filter(Boolean)), el('div', {}, ...right.filter(Boolean))));
  for (const e of box.querySelectorAll('[data-scroll]')) {
    const old = scroll.find(([k]) => k === e.dataset.scroll);
    e.scrollTop = !old || old[2] ? e.scrollHeight : old[1];
  }
  if (focused && $(focused)) $(focused).focus();
}

function buttons(row) {
  const a = info.actions;
  const b = (id, label, title, text, kind) => el('button', { id, class: kind || null, onclick: () => confirmThen(id, title, text, label, kind) }, label);
  return el('div', { class: 'buttons' },
    a.approve && detail.suggested && b('approve', 'Approve', 'Let ' + row.id + ' in?', () => 'The definition below is saved in the fleet\u2019s folder, and the machine becomes ' + chosenName() + '. It is installed on the disk that is named there, if that disk is empty.', 'primary'),
    a.wake && b('wake', 'Wake', 'Wake ' + row.id + '?', 'It is sent a magic packet, or its power is switched on.'),
    a.reinstall && row.name && b('reinstall', 'Reinstall', 'Reinstall ' + row.id + '?', 'At its next network boot its disk is written anew. What is on it is lost, but for what the definition keeps as state. It is allowed once.', 'danger'));
}

function confirmThen(action, title, text, label, kind) {
  const d = $('confirm');
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = typeof text === 'function' ? text() : text;
  $('confirm-yes').textContent = label;
  $('confirm-yes').className = kind === 'danger' ? 'danger' : 'primary';
  d.returnValue = 'no';
  d.onclose = async () => {
    if (d.returnValue !== 'yes') return;
    try {
      const name = action === 'approve' ? '?name=' + encodeURIComponent(chosenName()) : '';
      await post('/api/machines/' + encodeURIComponent(current) + '/' + action + name);
      toast(label + ': done');
      load();
    } catch (e) { toast(label + ' failed: ' + e.message); }
  };
  d.showModal();
}

// What an unknown machine could become. Its name may be changed before.
let renamed = {}, rehearsing = false;
const chosenName = () => renamed[detail.row.id] || detail.suggested.name;

function suggestionCard() {
  const s = detail.suggested;
  if (!s) return null;
  const named = (text) => text.replace(/^name: .*$/m, 'name: ' + chosenName());
  const pre = el('pre', { tabindex: '0', text: named(s.definition) });
  const input = el('input', { id: 'approve-name', value: chosenName(), maxlength: 63, autocomplete: 'off', spellcheck: 'false', pattern: '[a-z0-9]([a-z0-9\\-]*[a-z0-9])?' });
  input.addEventListener('input', () => {
    renamed[detail.row.id] = input.value.trim();
    pre.textContent = named(s.definition);
    trial.textContent = rehearsal();
  });
  const rehearsal = () => s.rehearsal.replace(s.name + '.yaml', chosenName() + '.yaml');
  const trial = el('pre', { id: 'rehearsal', tabindex: '0', text: rehearsal() });
  return el('div', { class: 'card' }, el('h2', { text: 'What it could become' }),
    el('p', { class: 'small dim', text: 'Made of the hardware that it told of. Approve saves it in the folder of the fleet.' }),
    el('label', { class: 'field', for: 'approve-name' }, el('span', { text: 'Name' }), input),
    pre, el('p', {}, save(() => chosenName() + '.yaml', () => named(s.definition), 'Download the definition')),
    el('details', { open: rehearsing, ontoggle: (e) => { rehearsing = e.target.open; } }, el('summary', { text: 'Rehearse it first' }),
      el('p', { class: 'small dim' }, 'A virtual machine with the same cards, slots, controllers and serial numbers. Save both files in a folder of their own, not the fleet\u2019s, and run there: ', el('code', { text: s.command })),
      trial, el('p', {}, save(() => s.rehearsal_file, rehearsal, 'Download the rehearsal'))));
}

// save is a link that downloads a text.
function save(name, text, label) {
  const a = el('a', { href: '#', class: 'save', text: label });
  a.addEventListener('click', () => {
    const url = URL.createObjectURL(new Blob([text()], { type: 'application/yaml' }));
    a.href = url;
    a.download = name();
    setTimeout(() => { URL.revokeObjectURL(url); a.href = '#'; }, 1000);
  });
  return a;
}

let toastTimer;
function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, 5000);
}

function whyCard(row, why) {
  const kind = why.state === 'never seen' ? 'off' : why.state;
  const heads = { proven: 'Every probe holds', waiting: 'On its way: waiting for ' + why.missing, stuck: 'Stuck before ' + why.missing, 'never seen': 'Not seen yet' };
  const left = leftOf(row);
  return el('div', { class: 'card why ' + kind }, el('h2', { text: heads[why.state] }),
    why.text && el('p', { text: why.text[0].toUpperCase() + why.text.slice(1) + '.' }),
    why.detail && el('p', { class: 'detail mono dim', text: why.detail }),
    why.state === 'waiting' && row.text && el('p', { class: 'dim', text: row.text }),
    row.total > 0 && why.state === 'waiting' && bar(row.bytes / row.total, 'Progress of ' + row.what),
    why.state === 'waiting' && (row.rate || left !== null) && el('p', { class: 'small dim', text: [row.what, progressLine(row)].filter(Boolean).join(': ') }),
    why.cure && el('p', { class: 'cure' }, el('b', { text: 'What helps: ' }), why.cure + '.'));
}

function bar(part, label) {
  const i = el('i');
  i.style.transform = 'scaleX(' + Math.min(1, part) + ')';
  const b = el('div', { class: 'bar', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.floor(part * 100) }, i);
  b.style.marginTop = '.7rem';
  return b;
}

function timelineCard() {
  const boot = detail.boots[0];
  if (!boot || !boot.steps || !boot.steps.length) return null;
  const steps = new Map(boot.steps.map((s) => [s.stage, s]));
  const longest = Math.max(...boot.steps.map((s) => s.took), 1);
  const furthest = Math.max(...boot.steps.map((s) => info.stages.indexOf(s.stage)));
  const items = info.stages.filter((s) => steps.has(s) || s === detail.why.missing || (info.stages.indexOf(s) > furthest && s !== 'install')).map((stage) => {
    const s = steps.get(stage);
    if (!s) {
      const missing = stage === detail.why.missing && detail.why.state === 'stuck';
      return el('li', { class: missing ? 'missing' : 'todo' }, el('span', { text: stage }), el('span', { class: 'num', text: missing ? 'missing' : '' }), el('span'), el('span'));
    }
    const i = el('i');
    i.style.transform = 'scaleX(' + s.took / longest + ')';
    return el('li', {}, el('span', { text: stage }), el('span', { class: 'num mono', text: span(s.after / 1e9) }), el('span', { class: 'took', 'aria-hidden': 'true' }, i),
      el('span', { class: 'small dim num extra', text: [s.bytes ? bytes(s.bytes) : '', s.rate ? bytes(s.rate) + '/s' : ''].filter(Boolean).join(' at ') || '+' + span(s.took / 1e9) }));
  });
  return el('div', { class: 'card' }, el('h2', { text: 'This boot' }), el('p', { class: 'small dim', text: 'Powered on ' + ago(boot.start) + '. A step counts when its evidence was received.' }), el('ol', { class: 'line' }, ...items));
}

function factsCard(row, node) {
  const facts = [['Address', row.address], ['Hardware addresses', (row.clients || []).join(', ')], ['Definition', row.definition], ['Mode', row.mode], ['Last heard', ago(row.heard)],
    ['Boots seen', node.boots], ['Serving', node.serving], ['Last good version', node.good], ['On its disk', node.installed], ['Next boot', node.one_time],
    ['Grant', detail.grant && detail.grant.what + ': ' + detail.grant.state + (detail.grant.evidence ? ' (' + detail.grant.evidence + ')' : '')]];
  return el('div', { class: 'card' }, el('h2', { text: 'Machine' }), el('dl', {}, ...facts.filter(([, v]) => v).flatMap(([k, v]) => [el('dt', { text: k }), el('dd', { text: String(v) })])));
}

function probesCard(node) {
  if (!node.probes || !node.probes.length) return null;
  return el('div', { class: 'card' }, el('h2', { text: 'Probes' }), ...node.probes.map((p) => el('div', { class: 'probe' },
    el('span', { class: p.ok ? 'good' : 'bad', text: p.ok ? '✓' : '✗', role: 'img', 'aria-label': p.ok ? 'holds' : 'fails' }), el('span', {}, el('b', { text: p.name }), p.problem && el('span', { class: 'bad', text: ' ' + p.problem })))));
}

function bootsCard() {
  const rows = detail.boots.slice(0, 8).filter((b) => b.steps && b.steps.length);
  if (rows.length < 2) return null;
  return el('div', { class: 'card' }, el('h2', { text: 'Earlier boots' }), el('table', { class: 'events' }, el('tbody', {}, ...rows.slice(1).map((b) => {
    const s = b.steps[b.steps.length - 1];
    return el('tr', {}, el('td', { text: new Date(b.start).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' }) }), el('td', { text: span(s.after / 1e9) }), el('td', { text: s.stage }));
  }))));
}

function hardwareCard() {
  if (!detail.hardware) return null;
  return el('div', { class: 'card' }, el('h2', { text: 'Hardware' }), tree(detail.hardware, 0));
}

function tree(v, depth) {
  if (v === null || typeof v !== 'object') return document.createTextNode(String(v));
  if (depth > 5) return document.createTextNode(JSON.stringify(v));
  if (Array.isArray(v)) return el('div', {}, ...v.slice(0, 200).map((x) => el('div', {}, tree(x, depth + 1))));
  if (depth > 1) return document.createTextNode(Object.entries(v).map(([k, x]) => k + ' ' + (typeof x === 'object' ? JSON.stringify(x) : x)).join(', '));
  return el('dl', {}, ...Object.entries(v).slice(0, 200).flatMap(([k, x]) => [el('dt', { text: k.replaceAll('_', ' ') }), el('dd', {}, tree(x, depth + 1))]));
}

function eventsCard() {
  if (!detail.events.length) return null;
  return el('div', { class: 'card' }, el('h2', { text: 'What was seen' }), el('div', { class: 'scroll', 'data-scroll': 'events', tabindex: '0', role: 'region', 'aria-label': 'Events' }, el('table', { class: 'events' }, el('tbody', {},
    ...detail.events.map((e) => el('tr', {}, el('td', { class: 'mono', text: clock(e.time) }), el('td', { text: e.kind }), el('td', { class: e.problem ? 'bad' : null, text: e.problem || e.text || (e.fields && (e.fields.file || e.fields.url)) || '' })))))));
}

// --- where we are
function route() {
  const m = location.pathname.match(/^\/machine\/(.+)$/);
  current = m ? decodeURIComponent(m[1]) : null;
  $('list-page').hidden = current !== null;
  $('machine-page').hidden = current === null;
  if (current === null) {
    document.title = info.title;
    draw();
  } else {
    $('machine-page').replaceChildren(back());
    load();
  }
}

document.addEventListener('click', (e) => {
  const a = e.target.closest('a[data-link]');
  if (!a || e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return;
  e.preventDefault();
  history.pushState(null, '', a.getAttribute('href'));
  route();
  if (current !== null) { window.scrollTo(0, 0); $('main').focus(); }
});
addEventListener('popstate', route);
addEventListener('scroll', () => { if (current === null) requestAnimationFrame(drawRows); }, { passive: true });
addEventListener('resize', draw);
$('search').addEventListener('input', (e) => { filter.q = e.target.value.trim(); window.scrollTo(0, 0); draw(); });
$('logout').addEventListener('click', async () => { await post('/logout'); location.href = '/login'; });

async function loadAll() {
  const all = await get('/api/machines');
  machines = new Map(all.machines.map((m) => { m.got = Date.now(); return [m.id, m]; }));
  draw();
}

function live(state, text) {
  cls($('live'), 'live ' + state);
  set($('live'), text);
}

function follow() {
  const source = new EventSource('/api/events');
  source.addEventListener('hello', async () => {
    try { await loadAll(); load(); live('on', 'live'); } catch (e) { live('lost', e.message); }
  });
  source.onmessage = async (e) => {
    const c = JSON.parse(e.data);
    if (c.reload) { await loadAll(); load(); return; }
    for (const id of c.gone || []) machines.delete(id);
    for (const m of c.machines || []) { m.got = Date.now(); machines.set(m.id, m); }
    if (current !== null && (c.machines || []).some((m) => m.id === current || (m.clients || []).includes(current))) load();
    draw();
  };
  source.onerror = () => {
    live('lost', 'connection lost, trying again');
    if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(follow, 3000); }
  };
}

setInterval(draw, 1000);

(async () => {
  info = await get('/api/info');
  skew = Date.parse(info.now) - Date.now();
  $('title').textContent = info.title;
  $('logout').hidden = !info.login;
  if (info.problem) { $('alarm').textContent = 'Records do not reach the disk: ' + info.problem; $('alarm').hidden = false; }
  await loadAll();
  route();
  follow();
})().catch((e) => live('lost', e.message));
