#!/bin/sh
# Answered by another path, without a word to the browser (RFC 3875 section 6.2.2).
printf 'Location: /environment.py?by=redirect\n\n'
