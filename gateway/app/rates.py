"""Which meters a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from gateway.ports import Rates
from gateway.settings.rates import RedisConfig
from gateway.stores.memory.rates import MemoryRates


async def open_rates(config: RedisConfig | None, monotonic: Callable[[], float]) -> Rates:
    """The meters, asked once; a server that does not answer yet shows in their health and is asked again."""
    rates = MemoryRates() if config is None else _on_server(config, monotonic)
    await rates.check()
    return rates


def _on_server(config: RedisConfig, monotonic: Callable[[], float]) -> Rates:
    # Here, because it takes 6 MiB that a gateway with meters of its own need not spend.
    from gateway.stores.redis.rates import RedisRates
    from gateway.stores.redis.server import Server, client

    server = Server(
        host=config.host,
        port=config.port,
        socket=config.socket,
        tls=config.tls,
        ca=config.ca,
        database=config.database,
        user=config.user,
        password=config.password,
    )
    fallback = MemoryRates(config.share) if config.share is not None else None
    return RedisRates(client(server), config.prefix, config.timeout, monotonic, str(server), fallback)
