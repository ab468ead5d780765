"""``python -m checks.commit_message FILE``: check the form and the words of a commit message. A Git hook runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from checks import words

SUBJECT_LENGTH = 72


def problems(message: str) -> Iterator[str]:
    """What is wrong with ``message``, one sentence each. Lines that begin with ``#`` are Git's own and do not count."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if not subject.strip():
        yield "The subject is empty; say in the imperative what the commit changes."
        return
    if len(subject) > SUBJECT_LENGTH:
        yield f"The subject has {len(subject)} characters; at most {SUBJECT_LENGTH} are allowed. Move the reason into the body."
    if not subject[0].isupper():
        yield "The subject does not begin with a capital letter."
    if subject.endswith("."):
        yield "The subject ends in a full stop; remove it."
    if len(lines) > 1 and lines[1].strip():
        yield "The second line is not empty; separate the subject from the body."
    for finding in words.findings("\n".join(lines), Path("message"), words.load()):
        yield f"Line {finding.line}: '{finding.phrase}': {finding.word.why} Write: {finding.word.say}"


def main(path: str) -> int:
    found = list(problems(Path(path).read_text()))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
