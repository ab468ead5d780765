"""What a node opens before anything stands on it, and closes at its end: journal, keys, policy, meters, connections, webhooks."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.app import data_dir
from gateway.app.policies import Engine, open_engine
from gateway.clients.clock import JUMP, SystemClock
from gateway.clients.keys.signing import SignedHeads, SignedLeases, open_head_key, open_lease_keys
from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.clients.webhook.delivery import FOLDER, Webhooks, open_webhooks
from gateway.control.upkeep import Heads, WallClock
from gateway.core import addresses, timestamps
from gateway.ports.rates import Rates
from gateway.settings.config import Config, ToolConfig
from gateway.settings.network import RedisConfig
from gateway.stores.memory import MemoryRates
from gateway.stores.sqlite.store import SqliteStore, open_store
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool

Report = Callable[[str, str], None]
"""Takes a level and a message about the policy."""


@dataclass(frozen=True, slots=True)
class Resources:
    clock: SystemClock
    wall: WallClock
    store: SqliteStore
    vault: TenantVault
    keys: SignedLeases
    signer: SignedHeads
    heads: Heads
    engine: Engine
    candidate: EmbeddedEngine | None
    rates: Rates
    webhooks: Webhooks
    pool: Pool


async def open_resources(config: Config, report: Report, warn: Callable[..., None], closing: AsyncExitStack) -> Resources:
    """Open what a configuration names. ``closing`` closes it again, in the other order: last the journal, after its signed head.

    Raises:
        Misconfigured: a folder, key, journal or policy cannot be used; one line per problem.
    """
    clock = SystemClock()
    data_dir.make(config.data_dir, f"{config.path.name}: data_dir", mode=0o700)
    if config.anchor is not None:
        data_dir.make(config.anchor, f"{config.path.name}: anchor.file")
    engine = await open_engine(config.policy, mint=clock.mint, report=report)
    closing.push_async_callback(engine.close)
    folder = config.data_dir / "keys"
    keys, signer = open_lease_keys(folder), open_head_key(folder)
    store = await open_store(config.data_dir, clock)
    closing.push_async_callback(store.close)
    wall = WallClock(clock.wall_ahead, JUMP, warn)
    if (tail := await store.history.tail()).seq:
        wall.started(clock.now(), timestamps.instant(tail.ts))
    candidate = None if config.candidate is None else EmbeddedEngine(config.candidate, mint=clock.mint, report=report)
    if candidate is not None:
        closing.push_async_callback(candidate.close)
    heads = Heads(store.history, signer, clock, data_dir.anchor(config.anchor))

    async def sign_last_head(failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:  # a start that failed wrote nothing to sign, and its own error is the one to report
            await heads.tick()

    closing.push_async_exit(sign_last_head)
    rates = await open_rates(config.rates, clock.monotonic)
    closing.push_async_callback(rates.close)
    webhooks = await open_webhooks(config.webhooks, config.data_dir / FOLDER, store.history, store.registry, clock, warn)
    closing.push_async_callback(webhooks.close)
    pool = Pool({name: _origin(one) for name, one in config.tools.items()}, allowed=addresses.allowed)
    closing.push_async_callback(pool.close)
    vault = TenantVault(store.blobs, open_master_key(folder))
    return Resources(clock, wall, store, vault, keys, signer, heads, engine, candidate, rates, webhooks, pool)


def _origin(one: ToolConfig) -> Origin:
    at, connections = one.section.base_url, one.section.connections
    if at.scheme == "unix":
        return Origin(unix=at.socket, connections=connections)
    tls = ssl.create_default_context(cafile=str(one.ca) if one.ca is not None else None) if at.scheme == "https" else None
    return Origin(host=at.host, port=at.port, tls=tls, connections=connections)


async def open_rates(config: RedisConfig | None, monotonic: Callable[[], float]) -> Rates:
    """The meters of a configuration, asked once; a server that does not answer yet shows in their health and is asked again."""
    rates: Rates = MemoryRates()
    if config is not None:
        # Here, because it takes 6 MiB that a gateway with meters of its own need not spend.
        from gateway.stores.redis.rates import RedisRates, client

        fallback = MemoryRates(config.share) if config.share is not None else None
        rates = RedisRates(client(config), config.prefix, config.timeout, monotonic, str(config), fallback)
    await rates.check()
    return rates
