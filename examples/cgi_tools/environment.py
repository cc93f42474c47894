#!/usr/bin/env python3
"""What a program is told of its request (RFC 3875 section 4.1)."""

import html
import os

print("Content-Type: text/html; charset=utf-8")
print("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'")
print()
print("<!doctype html><title>Environment</title>")
print("<style>td { font: 14px monospace; padding: 0 1em 0 0; vertical-align: top }</style><table>")
for name in sorted(os.environ):
    print(f"<tr><td>{html.escape(name)}<td>{html.escape(os.environ[name])}")
print("</table>")
