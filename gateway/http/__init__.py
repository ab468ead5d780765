"""The control API: what operators, orchestrators and programs ask of a gateway; with health and metrics, on aiohttp."""
