/**
 * The dashboard's style: light and dark, from 360 px on, nothing that moves. Colours are those of Okabe
 * and Ito, which people tell apart who see few; a shape and a word say the same. May import: nothing.
 * @module
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #fff; --text: #16202a; --soft: #55616e; --edge: #d5dae0;
  --ok: #00805d; --warn: #b86e00; --bad: #c43c00; --busy: #0069a8; --gone: #b3261e; --line: #0069a8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161c; --card: #1a2129; --text: #e6ebf0; --soft: #9fabb8; --edge: #333e4a;
    --ok: #2fc598; --warn: #f0b23d; --bad: #ff7a45; --busy: #66bdf2; --gone: #ff8a80; --line: #66bdf2;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums;
}
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; margin-bottom: 1rem; }
h1 { font-size: 1.15rem; margin: 0; }
h2 { font-size: 1rem; margin: 0; }
p { margin: 0; }
#head { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; flex: 1; align-items: baseline; }
.summary { font-weight: 600; }
.about, .facts, .axis, time, .none { color: var(--soft); }
.about { margin-left: auto; }
section.all, details, #body > section, #login {
  background: var(--card); border: 1px solid var(--edge); border-radius: 8px;
  padding: .75rem 1rem; margin: 0 0 1rem;
}
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.path { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
.reason { margin: .4rem 0; padding-left: .6rem; border-left: 3px solid var(--warn); overflow-wrap: anywhere; }
.mark { display: inline-flex; gap: .4em; align-items: baseline; }
.shape { width: .8em; height: .8em; flex: none; align-self: flex-start; margin-top: .35em; }
.shape path { stroke: none; }
.ok path { fill: var(--ok); }
.warn path { fill: var(--warn); }
.bad path { fill: var(--bad); }
.busy path { fill: none; stroke: var(--busy); stroke-width: 2.5; }
.gone path { fill: none; stroke: var(--gone); stroke-width: 3; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; vertical-align: baseline; font-weight: normal; }
td { white-space: nowrap; }
thead th { color: var(--soft); font-size: .87em; border-bottom: 1px solid var(--edge); }
tbody tr + tr > * { border-top: 1px solid var(--edge); }
summary {
  display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; cursor: pointer;
  position: relative; padding-left: 1.4rem;
}
summary::before { content: "+"; position: absolute; left: .1rem; font-weight: 600; color: var(--soft); }
details[open] > summary::before { content: "\\2212"; }
summary::-webkit-details-marker { display: none; }
summary { list-style: none; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem 2rem; margin-top: .75rem; }
.columns > * { min-width: 0; }
.tree, .tree ul { list-style: none; margin: 0; padding: 0; }
.tree ul { margin-left: .7rem; }
.tree ul > li { position: relative; padding: .5rem 0 0 1.3rem; }
.tree ul > li::before {
  content: ""; position: absolute; left: 0; top: 0; height: 1.75rem; width: 1.1rem;
  border: solid var(--soft); border-width: 0 0 2px 2px; border-bottom-left-radius: 6px;
}
.tree ul > li:not(:last-child)::after {
  content: ""; position: absolute; left: 0; top: 0; bottom: 0; border-left: 2px solid var(--soft);
}
.tree ul > li.none::before { height: 1.25rem; }
.node {
  border: 1px solid var(--edge); border-radius: 6px; padding: .35rem .6rem;
  display: flex; flex-wrap: wrap; gap: .1rem .9rem; align-items: baseline;
}
.own > .node { border: 2px solid var(--text); font-weight: 600; }
.own > .node .facts { font-weight: normal; }
.facts { font-size: .9em; }
.charts { display: grid; gap: 1rem; align-content: start; }
figure { margin: 0; }
figcaption, .axis { display: flex; justify-content: space-between; gap: 1rem; }
.axis { font-size: .8em; }
.plot { position: relative; }
.top { position: absolute; left: 0; top: .2rem; color: var(--soft); font-size: .8em; }
figure svg { display: block; width: 100%; height: 64px; }
.grid { stroke: var(--edge); stroke-width: 1; vector-effect: non-scaling-stroke; }
.line {
  fill: none; stroke: var(--line); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round;
  vector-effect: non-scaling-stroke;
}
.events { list-style: none; margin: .5rem 0 0; padding: 0; }
.events li { display: grid; grid-template-columns: 5.2em 3fr 2fr; gap: 0 .75rem; padding: .2rem 0; }
.events .mark { overflow-wrap: anywhere; min-width: 0; }
.stale #body { opacity: .55; }
#login { max-width: 32rem; display: grid; gap: .6rem; }
#login[hidden], [hidden] { display: none; }
input, button {
  font: inherit; color: inherit; background: var(--page); border: 1px solid var(--soft);
  border-radius: 6px; padding: .4rem .7rem; max-width: 100%;
}
button { cursor: pointer; justify-self: start; }
:focus-visible { outline: 3px solid var(--busy); outline-offset: 2px; }
@media (max-width: 46rem) {
  .columns { grid-template-columns: 1fr; }
  .about { margin-left: 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { display: grid; grid-template-columns: 1fr 1fr; padding: .4rem 0; }
  tbody th { grid-column: 1 / -1; font-weight: 600; }
  tbody tr + tr { border-top: 1px solid var(--edge); }
  tbody tr + tr > * { border-top: 0; }
  th, td { padding: .15rem .5rem .15rem 0; }
  td::before { content: attr(data-title) " "; color: var(--soft); font-size: .87em; }
  .events li { grid-template-columns: 5.2em 1fr; }
  .events .path { grid-column: 2; }
}
`;
