"""How the page looks, and what it says at its edges."""

from html import escape

CSS = """
.gradio-container {padding: 0 !important}
.gradio-container .main {padding: 10px 20px 4px !important}
.column, .row, .tabs, .tabitem {gap: 8px !important}
.tabitem {padding: 8px 0 0 !important}
#title h2 {margin: 0} #title p {margin: 2px 0 0}
.say, .say .html-container {padding: 0 !important}
.say p {margin: 0; padding: 6px 10px; border-radius: 6px;
        background: #eef3f8; color: #1d3f5e}
.say p.bad {background: #fdecea; color: #8c1d13}
#who .grid-wrap {padding: 4px; overflow: hidden}
#who .grid-container {gap: 4px; padding: 0;
  grid-template-columns: repeat(var(--grid-cols), 1fr) !important}
#who .thumbnail-item {aspect-ratio: auto; height: 88px}
#own {align-self: stretch}
#box {align-items: center} #box .form {border: none; box-shadow: none}
#box label span {white-space: nowrap}
#box .form .block {padding: 0 6px 0 0; border: none}
#box label {display: flex; align-items: center; gap: 6px}
#box label span {margin: 0} #box input[type=number] {padding: 4px 8px}
#where {padding: 8px 10px} #where .wrap {gap: 6px}
#where label {padding: 5px 10px}
#people .thumbnail-item, #scenes .thumbnail-item
  {aspect-ratio: auto; display: flex; flex-direction: column}
#people .thumbnail-item img {height: 186px; padding-top: 4px}
#people .caption-label, #scenes .caption-label
  {position: static; max-width: none; border: none; background: none;
   white-space: pre-line; text-align: left; width: 100%; font-size: 12px;
   line-height: 1.35; padding: 4px 5px}
#found + .tabs > .tab-wrapper {margin-bottom: 0; padding-bottom: 0}
#duty p {font-size: 12px; color: #555; margin: 0}
footer {display: none !important}
@media (max-width: 640px) {
  #box {flex-wrap: wrap}
  #box > .form {flex: 1 0 100%; min-width: 100% !important}
  #people .grid-container {grid-template-columns: repeat(2, 1fr) !important}
  #scenes .grid-container {grid-template-columns: 1fr !important}
}
@media (prefers-color-scheme: dark) {#duty p {color: #aaa}}
"""
TITLE = """
## Person search
One picture shows somebody: find them in many others. Everything stays on this
computer. Network: `{model}`
"""
DUTY = """
**Use with care.** Search only for people who agreed to it, or where the law
clearly allows it. A high similarity is a guess, not proof of who somebody is.
Pictures and embeddings of people are personal data: uploads are deleted after
about an hour, everything when the program ends.
"""


def said(message: str, is_bad: bool) -> str:
    """A message in HTML; whatever it holds is shown as text."""
    kind = 'bad' if is_bad else 'good'
    return f'<p class="{kind}" role="status">{escape(message)}</p>'
