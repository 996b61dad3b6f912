#include <refnorm/report/page.h>

namespace refnorm::report {

const char* page_style() {
  return R"css(
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d9dee3; --panel: #f5f7f9; --accent: #0072b2; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #161a1f; --ink: #e6e9ec; --faint: #a5adb6; --rule: #333a42; --panel: #1e242b; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 28px 72px; }
h1 { font-size: 30px; line-height: 1.2; margin: 4px 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 20px; line-height: 1.3; margin: 44px 0 10px; }
p, ul { margin: 8px 0; max-width: 76ch; }
.kicker { color: var(--faint); font-size: 14px; margin: 0; }
.note { display: inline-block; font-size: 14px; font-weight: 600; padding: 3px 10px; border: 1px solid currentColor;
  border-radius: 4px; color: var(--accent); margin: 0 0 8px; overflow-wrap: anywhere; }
.answer { font-size: 19px; line-height: 1.45; border-left: 4px solid var(--accent); padding: 4px 0 4px 18px; margin: 16px 0 8px;
  max-width: 68ch; overflow-wrap: anywhere; }
.answer p { margin: 6px 0; max-width: none; }
a { color: var(--accent); }
.cautions { padding-left: 1.2em; }
pre { background: var(--panel); padding: 10px 14px; font-size: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
.faint, figcaption { color: var(--faint); font-size: 14px; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 9px; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; color: var(--faint); border-bottom: 1.5px solid var(--faint); white-space: normal; }
th.words, td.words { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 15em; }
tr.strong td, td.strong { font-weight: 600; background: var(--panel); }
th:first-child, td:first-child { padding-left: 6px; }
.scroll th:first-child, .scroll td:first-child { position: sticky; left: 0; background: var(--ground); }
.scroll tr.strong td:first-child { background: var(--panel); }
figure { margin: 12px 0; }
figure svg { display: block; width: 100%; height: auto; min-width: 620px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 20px; margin: 8px 0; font-size: 15px; }
dt { color: var(--faint); max-width: 22ch; overflow-wrap: anywhere; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl dl, dd ul { margin: 0; }
dd ul, .says ul { padding-left: 1.2em; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 8px 40px; }
h3 { font-size: 15px; margin: 14px 0 4px; color: var(--faint); font-weight: 600; }
details { margin: 12px 0; }
details table { font-size: 13px; }
summary { cursor: pointer; font-weight: 600; font-size: 20px; margin-top: 44px; }
@media (max-width: 900px) { table { font-size: 13.5px; } th, td { padding: 6px 7px; } }
@media (max-width: 600px) { main { padding: 24px 16px 48px; } .answer { font-size: 17px; } }
@media print {
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } table { font-size: 8.5pt; } th, td { padding: 3px 6px; white-space: normal; }
  .scroll { overflow: visible; } .scroll th:first-child, .scroll td:first-child { position: static; } figure, tr, dl { break-inside: avoid; } h2 { break-after: avoid; margin-top: 20pt; }
  figure svg { min-width: 0; } .answer { font-size: 13pt; }
}
)css";
}

}  // namespace refnorm::report
