"""``killcord demo``: a real ERP, a real gateway and a real agent, each a process of its own, and an honest check of what they do."""

from gateway.cli.demo.show import command

__all__ = ["command"]
