#!/bin/sh
# Answered by another path, without a word to the browser (RFC 3875 section 6.2.2).
printf 'Location: %s/environment.py?by=redirect\n\n' "${SCRIPT_NAME%/*}"
