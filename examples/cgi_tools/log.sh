#!/bin/sh
# A line every half second, as "tail -f" would show it. The program ends with its reader.
printf 'Content-Type: text/plain; charset=utf-8\nCache-Control: no-store\n\n'
line=1
while [ "$line" -le 60 ]; do
    echo "$(date '+%H:%M:%S') line $line of 60"
    line=$((line + 1))
    sleep 0.5
done
