#!/usr/bin/env bash
# msgspec 0.23.0 with mypy 2.4.1: mypy --strict accepts dataclasses.replace() on a frozen msgspec.Struct, and the call raises TypeError.
#
# Structs are typed as dataclasses (typing.dataclass_transform), so the type checker takes the standard function for the right one. At
# run time a Struct has no dataclass fields. A code base that moves from dataclasses to Structs keeps such calls, and no check finds
# them. The function that works is msgspec.structs.replace.
#
# Seen: "Success: no issues found in 1 source file", then "TypeError: replace() should be called on dataclass instances".
# Exit 0 if both still hold.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check msgspec==0.23.0 mypy==2.4.1
cat > "$folder/order.py" <<'PY'
import dataclasses

import msgspec


class Order(msgspec.Struct, frozen=True):
    name: str
    amount: int


print(dataclasses.replace(Order("a", 1), amount=2))
PY
cd "$folder"
checked=$("$folder/venv/bin/python" -m mypy --strict order.py)
echo "mypy --strict: $checked"
ran=$("$folder/venv/bin/python" order.py 2>&1 || true)
echo "python:        ${ran##*$'\n'}"
grep -q '^Success' <<< "$checked"
grep -q 'TypeError' <<< "$ran"
