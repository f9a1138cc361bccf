//! One self-contained page: no script, no font, no image from elsewhere, in light and dark.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours by what they stand for, a text width that people read, tables that scroll where a screen is narrow.
const STYLE: &str = "
:root { color-scheme: light dark; --page: #fbfaf7; --text: #1d1f21; --soft: #62666c; --rule: #dcd9d0; --card: #ffffff;
  --one: #1f6f8b; --two: #d98032; --three: #6b8f3c; --four: #8b4f80; --bad: #b3372e; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --text: #e4e3de; --soft: #9a9da3; --rule: #33373d;
  --card: #1c1f23; --one: #5fb3cf; --two: #f0a35e; --three: #a3c76d; --four: #c995c0; --bad: #ef7d73; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 44rem; } .soft { color: var(--soft); }
.big { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.big div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .6rem .9rem; flex: 1 1 9rem; }
.big b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .big span { color: var(--soft); font-size: .85rem; }
figure { margin: .5rem 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .6rem; }
figcaption { color: var(--soft); font-size: .85rem; padding: .2rem .3rem 0; }
figure { overflow-x: auto; } svg { display: block; width: 100%; min-width: 28rem; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .tick, svg .label, svg .soft { fill: var(--soft); } .grid { stroke: var(--rule); }
.one { fill: var(--one); } .two { fill: var(--two); } .three { fill: var(--three); } .four { fill: var(--four); }
.line { fill: none; stroke: var(--text); stroke-width: 1.5; } .thin { stroke: var(--text); stroke-width: 1.2; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .8em; }
.key.one { background: var(--one); } .key.two { background: var(--two); } .key.three { background: var(--three); } .key.four { background: var(--four); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; } th { color: var(--soft); font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
";

/// A whole page around its contents.
pub fn page(title: &str, contents: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content="reluctor";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (contents) } }
        }
    }
    .into_string()
}
