#!/usr/bin/env python3
"""What a program is told of its request (RFC 3875 section 4.1)."""

import html
import os

print("""Content-Type: text/html; charset=utf-8
Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:

<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Environment</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
td { font: 14px/1.5 monospace; padding: 0 1rem 0 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { white-space: nowrap }
</style>
<h1>What this program is told</h1>
<table>""")
for name in sorted(os.environ):
    print(f"<tr><td>{html.escape(name)}<td>{html.escape(os.environ[name])}")
print("</table>")
