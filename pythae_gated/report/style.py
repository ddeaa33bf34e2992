"""How the page looks."""

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f7f9; color: #1f2933; line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 820px; margin: 0 auto; padding: 2.5rem 3rem 4rem; background: #fff; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .8rem; padding-top: .9rem;
  border-top: 1px solid #dde2e8; }
p { margin: .5rem 0; }
.sub, .small, .caption, figcaption, .kind { color: #5b6876; font-size: .9rem; }
.verdict { font-size: 1.1rem; padding: .8rem 1rem; background: #eaf2fb; border-radius: 6px;
  margin: 1.2rem 0; }
.partitions { list-style: none; padding: 0; }
.partitions li { margin: 0 0 1rem; padding-left: 1rem; border-left: 4px solid #337ac4; }
.partitions p { margin: .1rem 0; }
figure { margin: 1.4rem 0 1.8rem; }
figcaption { margin-top: .4rem; }
img { max-width: 100%; height: auto; display: block; }
img.pixels { image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .15rem .2rem; text-align: center; white-space: nowrap; }
thead th { font-weight: 600; font-size: .85rem; color: #5b6876; }
tbody th, thead th:first-child { text-align: left; font-weight: 600; padding-right: .8rem; }
tbody tr { border-top: 1px solid #eef1f4; }
.gap { padding-left: 1rem; }
td span { display: block; min-width: 2.8rem; padding: .15rem .3rem; border-radius: 4px; }
.framed { box-shadow: 0 0 0 2px #d9480f inset; font-weight: 600; }
@media print { body { background: #fff; } main { padding: 0; } }
"""
