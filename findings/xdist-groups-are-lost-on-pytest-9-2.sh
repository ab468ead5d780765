#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: --dist loadgroup ignores every xdist_group, without a word. Tests of one group run on several workers.
#
# xdist notes a test's group by assigning item._nodeid + "@group" in the worker, and the scheduler splits node ids at the "@". Items of
# pytest 9.2 have no _nodeid any more: nodeid is a property over another attribute, so the assignment has no effect. Suites that share
# a server within a group start it once a worker instead, and tests that must not run at the same time do.
#
# Seen, for eight tests of one group on two workers: 1 worker with pytest 9.0.2, 2 workers with pytest 9.2.0. Exit 0 if both still hold.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_group.py" <<'PY'
import pathlib
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_is_in_the_group(number: int, worker_id: str) -> None:
    time.sleep(0.2)
    (pathlib.Path(__file__).parent / f"ran-on-{worker_id}").touch()
PY
workers() {
  python3 -m venv "$folder/venv-$1"
  "$folder/venv-$1/bin/python" -m pip install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  rm -f "$folder"/ran-on-*
  (cd "$folder" && "$folder/venv-$1/bin/python" -m pytest -q -n 2 --dist loadgroup test_group.py) >&2
  find "$folder" -maxdepth 1 -name 'ran-on-*' | wc -l
}
before=$(workers 9.0.2)
after=$(workers 9.2.0)
echo "workers that ran the one group: pytest 9.0.2: $before, pytest 9.2.0: $after"
[ "$before" = 1 ]
[ "$after" = 2 ]
