#!/bin/sh
# What there is here, as a page.
cat <<'END'
Content-Type: text/html; charset=utf-8
Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'

<!doctype html>
<title>Tools</title>
<style>body { font: 16px sans-serif; max-width: 40em; margin: 2em auto }</style>
<h1>Tools</h1>
<ul>
<li><a href="/environment.py/some/path?name=value">What a program is told</a> (Python)
<li><a href="/log.sh">A log, line by line for half a minute</a> (shell)
<li><a href="/form.pl">A form</a> (Perl)
<li><a href="/go.sh">A local redirect to the environment</a> (shell)
</ul>
<p>Uploads: <code>curl -T big.iso http://localhost:8080/upload.py</code>
END
