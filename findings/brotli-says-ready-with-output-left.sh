#!/usr/bin/env bash
# brotli 1.2.1: after process() with an output_buffer_limit has returned a part of the output, can_accept_more_data() says True.
#
# The documentation of the package says that it is False "if the decoder needs to output some data via 'decompress(b'')' before being
# provided any more compressed data". A reader that takes True for "feed the next piece, or end" loses the rest: only is_finished()
# tells. And the limit is no bound of the returned piece: the buffer grows in blocks and stops growing once it is past the limit.
#
# Seen, for a million equal bytes and a limit of 1000: a piece of 32752 bytes, can_accept_more_data() True, is_finished() False, and the
# rest by further calls with empty input. Exit 0 if that still holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check brotli==1.2.1
"$folder/venv/bin/python" - <<'PY'
import brotli

text = b"a" * 1_000_000
decoder = brotli.Decompressor()
piece = decoder.process(brotli.compress(text), output_buffer_limit=1000)
ready, finished = decoder.can_accept_more_data(), decoder.is_finished()
print(f"limit 1000: {len(piece)} bytes; can_accept_more_data() {ready}, is_finished() {finished}")
rest = b""
while not decoder.is_finished():
    rest += decoder.process(b"", output_buffer_limit=1000)
print(f"by further calls with empty input: {len(rest)} bytes more")
assert len(piece) == 32752 and ready and not finished
assert piece + rest == text
PY
