#!/usr/bin/env python3
"""Counts and hashes what is uploaded, while it comes, and says so from time to time."""

import hashlib
import os
import sys
import time

STEP = 64 * 1024
total = 0
digest = hashlib.sha256()
began = told = time.monotonic()

sys.stdout.write("Content-Type: text/plain; charset=utf-8\n\n")
while True:
    piece = os.read(0, STEP)
    if not piece:
        break
    total += len(piece)
    digest.update(piece)
    if time.monotonic() - told > 1:
        told = time.monotonic()
        sys.stdout.write(f"{total} bytes so far\n")
        sys.stdout.flush()
seconds = max(time.monotonic() - began, 1e-6)
sys.stdout.write(f"{total} bytes in {seconds:.2f} s, SHA-256 {digest.hexdigest()}\n")
