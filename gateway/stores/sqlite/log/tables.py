"""The folded tables checked before anything is decided by them."""

from __future__ import annotations

from gateway import errors
from gateway.stores.sqlite import state_digest
from gateway.stores.sqlite.database import READING, WRITING, Database
from gateway.stores.sqlite.folding import Progress, TableFinding, differences
from gateway.stores.sqlite.log.writer import Tip
from gateway.stores.sqlite.state_digest import StateDigest


def proven_state(opened: Database, tip: Tip, key: bytes, progress: Progress) -> StateDigest:
    """The digest to continue from. Where the tip's MAC does not prove the tables, all entries are folded and compared; then it is written.

    So a MAC that is absent (an earlier version's journal) or does not fit (a column that a migration added) costs time once, and a MAC
    that was removed hides nothing.

    Raises:
        Misconfigured: a table is not what the entries give.
    """
    digest = state_digest.scan(opened.reader, key)
    proof = state_digest.mac(key, opened.stream, tip.seq, tip.hash, digest)
    row = opened.reader.execute(READING["state"], (tip.seq,)).fetchone()
    if not state_digest.fits(None if row is None else row[0], proof):
        if found := differences(opened.reader, progress):
            raise _differ(opened, found)
        opened.writer.execute(WRITING["keep_state"], (proof, tip.seq))
    return StateDigest(opened.writer, key, digest)


def _differ(opened: Database, found: list[TableFinding]) -> errors.Misconfigured:
    told = "; ".join(map(str, found))
    advice = "keep a copy as evidence, then make them anew with 'killcord journal rebuild --config killcord.yaml --reason TEXT'"
    return errors.Misconfigured([f"{opened.path}: folded tables differ from the journal's entries: {told}; {advice}"])
