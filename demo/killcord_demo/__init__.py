"""``killcord demo``: a real ERP, a real gateway and a real agent, each a process of its own, and an honest check of what they do.

``killcord`` finds it by its entry point in the group ``killcord.demo``. It is a client: of the gateway it imports ``gateway.sdk`` alone.
"""
