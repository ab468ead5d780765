"""ports.Journal: the one way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from gateway.model.effect import Charge
from gateway.model.entry import Fields, Kind, Position, Sealed
from gateway.ports.journal import AlreadyTaken, Exceeded, IntentRequest, Journal, JournalHealth, Opened, Unapproved
from gateway.stores.sqlite.log.intake import Intake


class SqliteJournal:
    """Entries, in the order they are handed in. Their fields belong to the journal from then on."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    @property
    def stream(self) -> str:
        return self._intake.stream

    def post(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        return self._intake.submit(_no_intent(fields), blobs=blobs)

    async def append(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        future = self._intake.future()
        self._intake.submit(_no_intent(fields), blobs=blobs, future=future)
        position: Position = await future
        return position

    async def intend(self, opening: IntentRequest) -> Opened | AlreadyTaken | Unapproved | Exceeded:
        _coherent(opening)
        future = self._intake.future()
        self._intake.submit(opening.fields, blobs=opening.blobs, opening=opening, future=future)
        opened: Opened | AlreadyTaken | Unapproved | Exceeded = await future
        return opened

    def health(self) -> JournalHealth:
        return self._intake.health()


def _no_intent(fields: Fields) -> Fields:
    if fields["kind"] == Kind.INTENT:
        raise ValueError("an intent is opened with intend(): its key and charges have to be checked")
    return fields


def _coherent(opening: IntentRequest) -> None:
    """The entry must tell what is checked: replaying the journal charges and opens by the entry alone."""
    fields = opening.fields
    written = cast("Sequence[Mapping[str, object]]", fields.get("charges", ()))
    if len(written) != len(opening.charges) or not all(map(_same, written, opening.charges)):
        raise ValueError("the intent's charges are not those of the opening")
    key = opening.key
    told = (fields["tenant"], fields["workflow_id"], fields["key"]["digest"], fields["attempt"])  # type: ignore[index]
    if fields["kind"] != Kind.INTENT or told != (key.tenant, key.workflow_id, key.digest, opening.attempt):
        raise ValueError("the intent's key and attempt are not those of the opening")
    if fields.get("approval_id") != opening.spends:
        raise ValueError("the intent's approval is not the one that the opening spends")


def _same(written: Mapping[str, object], charge: Charge) -> bool:
    return (
        written["scope"] == charge.scope
        and written["name"] == charge.name
        and written["amount"] == charge.amount
        and written.get("member") == charge.member
    )


if TYPE_CHECKING:
    _port: type[Journal] = SqliteJournal
