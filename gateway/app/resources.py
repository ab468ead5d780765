"""What a node opens before anything stands on it, and closes at its end: journal, keys, policy, meters, connections, webhooks."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.app import data_dir, open_files
from gateway.app.anchor import Anchor
from gateway.app.policies import Engine, open_engine
from gateway.clients.clock import JUMP, SystemClock
from gateway.clients.keys.signing import SignedHeads, SignedLeases, open_head_key, open_lease_keys, retire_lease_keys
from gateway.clients.keys.vault import TenantVault, open_master_key, state_key
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.clients.webhook.delivery import FOLDER, Webhooks, open_webhooks
from gateway.control.upkeep import Heads, WallClock
from gateway.core import addresses, timestamps
from gateway.core.descriptors import Descriptors
from gateway.ports.rates import Rates
from gateway.settings.config import Config, ToolConfig
from gateway.settings.network import RedisConfig
from gateway.stores.memory import MemoryRates
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import SqliteStore, open_store
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool

_TELL_EVERY = 100_000
"""Entries projected at a start between two lines of the log."""

Report = Callable[[str, str], None]
"""Takes a level and a message about the policy."""


@dataclass(frozen=True, slots=True)
class Resources:
    descriptors: Descriptors
    clock: SystemClock
    wall: WallClock
    store: SqliteStore
    vault: TenantVault
    keys: SignedLeases
    signer: SignedHeads
    heads: Heads
    anchor: Anchor
    engine: Engine
    candidate: EmbeddedEngine | None
    rates: Rates
    webhooks: Webhooks
    pool: Pool


async def open_resources(
    config: Config, report: Report, warn: Callable[..., None], closing: AsyncExitStack, *, accept: bool = False
) -> Resources:
    """Open what a configuration names. ``accept``: open a journal that signed heads do not match, with new lease keys.
    ``closing`` closes it again, in the other order: last the journal, after its signed head.

    Raises:
        Misconfigured: a folder, key, journal or policy cannot be used, or the limit on open files is too low; one line per problem.
    """
    parts = open_files.divided(config)
    for name, (asked, given) in open_files.shrunk(config, parts).items():
        warn("pool-shrunk", tool=name, connections=given, detail=f"{asked} are configured; the limit on open files leaves {given}")
    clock = SystemClock()
    data_dir.make(config.data_dir, f"{config.path.name}: data_dir", mode=0o700)
    if config.anchor is not None:
        data_dir.make(config.anchor, f"{config.path.name}: anchor.file")
    engine = await open_engine(config.policy, mint=clock.mint, report=report, connections=parts.pools.get(open_files.POLICY, 0))
    closing.push_async_callback(engine.close)
    folder = config.data_dir / "keys"
    signer, master = open_head_key(folder), open_master_key(folder)
    anchor = Anchor(config.anchor, warn)
    expected = Expected(
        key=state_key(master),
        anchored=anchor.heads,
        elsewhere=anchor.elsewhere,
        signed=signer.signed,
        accept=accept,
        progress=_comparing(warn),
    )
    store = await open_store(config.data_dir, clock, expected)
    closing.push_async_callback(store.close)
    if store.mismatches.foreign:
        warn(
            "anchor-foreign",
            count=len(store.mismatches.foreign),
            detail="heads of this journal that its own key did not sign; they are ignored",
        )
    if config.anchor is not None and (newest := store.mismatches.unanchored) is not None:
        warn(
            "anchor-behind",
            path=str(config.anchor),
            seq=newest.seq,
            detail=f"the anchor lacks the head that this journal signed at seq {newest.seq}; if it had one, heads were removed from it",
        )
    if store.mismatches.own:
        retire_lease_keys(folder)
    keys = open_lease_keys(folder)
    wall = WallClock(clock.wall_ahead, JUMP, warn)
    if (tail := await store.history.tail()).seq:
        wall.started(clock.now(), timestamps.instant(tail.ts))
    candidate = None if config.candidate is None else EmbeddedEngine(config.candidate, mint=clock.mint, report=report)
    if candidate is not None:
        closing.push_async_callback(candidate.close)
    heads = Heads(store.history, signer, clock, anchor.append)

    async def sign_last_head(failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:  # a start that failed wrote nothing to sign, and its own error is the one to report
            await heads.tick()

    closing.push_async_exit(sign_last_head)
    rates = await open_rates(config.rates, clock.monotonic, connections=parts.pools.get(open_files.RATES, 0))
    closing.push_async_callback(rates.close)
    webhooks = await open_webhooks(config.webhooks, config.data_dir / FOLDER, store.history, store.registry, clock, warn)
    closing.push_async_callback(webhooks.close)
    origins = {name: _origin(one, parts.pools[open_files.tool(name)]) for name, one in config.tools.items()}
    pool = Pool(origins, allowed=addresses.allowed)
    closing.push_async_callback(pool.close)
    vault = TenantVault(store.blobs, master)
    return Resources(parts, clock, wall, store, vault, keys, signer, heads, anchor, engine, candidate, rates, webhooks, pool)


def _comparing(warn: Callable[..., None]) -> Callable[[int], None]:
    """Says now and then how many entries are compared with the projections: a start that needs it takes minutes where there are many."""

    def progress(seq: int) -> None:
        if seq - logged[-1] >= _TELL_EVERY:
            logged[-1] = seq
            warn("journal-compared", up_to=seq, detail="the newest entry does not prove the projections; all entries are compared")

    logged = [0]
    return progress


def _origin(one: ToolConfig, connections: int) -> Origin:
    at = one.section.base_url
    if at.scheme == "unix":
        return Origin(unix=at.socket, connections=connections)
    tls = ssl.create_default_context(cafile=str(one.ca) if one.ca is not None else None) if at.scheme == "https" else None
    return Origin(host=at.host, port=at.port, tls=tls, connections=connections)


async def open_rates(config: RedisConfig | None, monotonic: Callable[[], float], *, connections: int) -> Rates:
    """The meters of a configuration, asked once; a server that does not answer yet shows in their health and is asked again."""
    rates: Rates = MemoryRates()
    if config is not None:
        # Here, because it takes 6 MiB that a gateway with meters of its own need not spend.
        from gateway.stores.redis.rates import RedisRates, client

        fallback = MemoryRates(config.share) if config.share is not None else None
        rates = RedisRates(client(config, connections=connections), config.prefix, config.timeout, monotonic, str(config), fallback)
    await rates.check()
    return rates
