//! The style sheet of the first page; light or dark as the reader's system is.

pub(super) const CSS: &str = "
:root { color-scheme: light dark; --bg:#f6f7f9; --card:#fff; --ink:#1c2430; --quiet:#667080; --rule:#e2e6eb;
  --link:#1f6feb; --bad:#c2293f; --bad-bg:#fdecee; --warn:#9a5b00; --warn-bg:#fff4e0; --fine:#1d7a4c; --fine-bg:#e6f5ec;
  --calm:#c3cad3; --c0:#d1354b; --c1:#e07b12; --c2:#2478b8; --c3:#8454b8; --c4:#1d8f6a; --c5:#9c7a16; --more:#6b7480; }
@media (prefers-color-scheme: dark) { :root { --bg:#12161c; --card:#1a2029; --ink:#e3e8ef; --quiet:#93a0b0; --rule:#2c3542;
  --link:#6cb0ff; --bad:#ff7b8c; --bad-bg:#3a1c22; --warn:#f2b35c; --warn-bg:#38290f; --fine:#66cf98; --fine-bg:#14301f;
  --calm:#465262; --c0:#ff6f82; --c1:#f59e42; --c2:#5fb0ee; --c3:#b58cf0; --c4:#4fd0a2; --c5:#d8b74a; --more:#9aa5b3; } }
* { box-sizing: border-box; }
body { margin:0 auto; padding:0 1.25rem 2rem; max-width:84rem; background:var(--bg); color:var(--ink);
  font:15px/1.45 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif; }
header { display:flex; align-items:baseline; gap:.9rem; padding:1.1rem 0 .3rem; }
h1 { font-size:1.45rem; margin:0; letter-spacing:-.01em; }
h2 { font-size:1.15rem; margin:0 0 .15rem; display:flex; align-items:center; gap:.6rem; flex-wrap:wrap; overflow-wrap:anywhere; }
h3 { font-size:.95rem; margin:1.3rem 0 .4rem; }
header p, .facts, .quiet, .note, .since { color:var(--quiet); }
header p, .facts { margin:0; }
.facts, .since, footer { font-size:.88rem; }
.note { font-size:.8rem; font-weight:400; margin-left:.5rem; }
section { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:1rem 1.2rem 1.1rem; margin-top:1rem; }
.tag, .status { font-size:.75rem; font-weight:600; border-radius:99px; padding:.1rem .6rem; background:var(--rule); color:var(--quiet); }
.status { margin-left:auto; }
.status.critical { background:var(--bad-bg); color:var(--bad); }
.status.warning { background:var(--warn-bg); color:var(--warn); }
.status.fine { background:var(--fine-bg); color:var(--fine); }
.banner { margin:.8rem 0 0; padding:.55rem .9rem; border-radius:8px; background:var(--bad-bg); color:var(--bad); overflow-wrap:anywhere; }
.banner.starting { background:var(--warn-bg); color:var(--warn); }
.empty { color:var(--quiet); padding:1.4rem; margin:.8rem 0 0; text-align:center; border:1px dashed var(--rule); border-radius:8px; }
ul { list-style:none; margin:.7rem 0 0; padding:0; }
.alerts li, .requests li { display:flex; flex-wrap:wrap; align-items:baseline; gap:.2rem .7rem; padding:.5rem .8rem;
  border-left:4px solid var(--rule); background:var(--bg); border-radius:0 6px 6px 0; margin-top:.4rem; }
.alerts li.critical { border-color:var(--bad); } .alerts li.warning { border-color:var(--warn); }
.critical .severity { color:var(--bad); } .warning .severity { color:var(--warn); }
.severity { font-size:.78rem; font-weight:700; text-transform:uppercase; letter-spacing:.03em; }
.summary { flex:1 1 20rem; overflow-wrap:anywhere; }
.requests li { border-color:var(--c3); }
.scroll { overflow-x:auto; margin-top:.8rem; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th { text-align:left; font-size:.78rem; font-weight:600; color:var(--quiet); }
th, td { padding:.4rem .9rem .4rem 0; border-bottom:1px solid var(--rule); white-space:nowrap; vertical-align:top; }
tbody tr:last-child td { border-bottom:0; }
.n { text-align:right; } th:last-child, td:last-child { padding-right:0; }
.bad { color:var(--bad); font-weight:700; }
.charts { display:grid; grid-template-columns:repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap:1rem 1.6rem; align-items:start; }
.charts .empty { margin:0; }
figure { margin:0; min-width:0; }
figcaption { font-size:.85rem; font-weight:600; margin-bottom:.2rem; }
svg { display:block; width:100%; height:auto; }
svg text { font-size:11px; fill:var(--quiet); stroke:none; }
.grid { stroke:var(--rule); } .axis { stroke:var(--quiet); stroke-opacity:.5; }
path { fill:none; stroke-linejoin:round; stroke-linecap:round; }
path.calm { stroke:var(--calm); stroke-width:1.3; } path.line { stroke-width:2; }
path.band { fill:var(--c2); fill-opacity:.16; stroke:none; }
line.threshold { stroke:var(--bad); stroke-dasharray:6 4; } svg text.threshold { fill:var(--bad); }
svg text.threshold, svg text.reference { paint-order:stroke; stroke:var(--card); stroke-width:3px; }
line.reference { stroke:var(--quiet); stroke-dasharray:6 4; }
.c0 { --c:var(--c0); } .c1 { --c:var(--c1); } .c2 { --c:var(--c2); } .c3 { --c:var(--c3); } .c4 { --c:var(--c4); }
.c5 { --c:var(--c5); } .more { --c:var(--more); } .calm { --c:var(--calm); } .decayed { --c:var(--bad); }
path.line { stroke:var(--c); } .dot { fill:var(--c); stroke:var(--card); stroke-width:.8; }
.swatch { display:inline-block; width:.75rem; height:.75rem; border-radius:3px; background:var(--c); margin-right:.4rem; vertical-align:-1px; }
.legend { display:flex; flex-wrap:wrap; gap:.15rem 1.1rem; margin:.35rem 0 0 .2rem; font-size:.83rem; }
footer { color:var(--quiet); margin-top:1.2rem; } footer span { float:right; }
a { color:var(--link); text-decoration:none; } a:hover { text-decoration:underline; }
";
