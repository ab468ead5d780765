"""``killcord demo --incident NAME``: for every trigger a short play in which an agent, or its tool, goes wrong. One file a layer."""
