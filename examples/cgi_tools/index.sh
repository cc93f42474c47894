#!/bin/sh
# What there is here, as a page. Links are relative: the folder may be mounted anywhere.
cat <<END
Content-Type: text/html; charset=utf-8
Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:

<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tools</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
code { overflow-wrap: anywhere }
</style>
<h1>Tools</h1>
<ul>
<li><a href="environment.py/some/path?name=value">What a program is told</a> (Python)
<li><a href="log.sh">A log, line by line for half a minute</a> (shell)
<li><a href="form.pl">A form</a> (Perl)
<li><a href="go.sh">A local redirect to the environment</a> (shell)
</ul>
<p>Uploads: <code>curl -T big.iso http://$SERVER_NAME:$SERVER_PORT${SCRIPT_NAME%/*}/upload.py</code>
END
