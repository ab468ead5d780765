#!/usr/bin/env bash
# OPA 1.22.2 and regorus (wheel celine-regorus 0.9.1): the same rule, round(0.285 * 100), is 29 on the one and 28 on the other.
#
# OPA multiplies with big floats and gets 28.5, regorus with doubles and gets 28.499999999999996. A policy that compares a price times a
# rate, rounded to cents, with a limit allows on one engine what it denies on the other. Whole minor units agree.
#
# Seen: OPA {"cents":29,"product":28.5}; regorus 28.0 and 28.499999999999996. Exit 0 if both still hold. Needs Go (first time: some minutes).
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
GOBIN="$folder" GOFLAGS=-mod=mod go install github.com/open-policy-agent/opa@v1.22.2
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check celine-regorus==0.9.1
cat > "$folder/price.rego" <<'REGO'
package price

product := 0.285 * 100

cents := round(0.285 * 100)
REGO
opa=$("$folder/opa" eval --data "$folder/price.rego" --format raw data.price)
echo "OPA:     $opa"
regorus=$("$folder/venv/bin/python" - "$folder/price.rego" <<'PY'
import sys

import regorus

engine = regorus.Engine()
engine.add_policy_from_file(sys.argv[1])
print(engine.eval_rule("data.price.cents"), engine.eval_rule("data.price.product"))
PY
)
echo "regorus: $regorus"
[ "$opa" = '{"cents":29,"product":28.5}' ]
[ "$regorus" = '28.0 28.499999999999996' ]
