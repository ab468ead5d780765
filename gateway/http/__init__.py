"""The operators' door: the control API, health and metrics, on aiohttp."""
