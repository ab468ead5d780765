"""Killcord: the gateway between agents and their tools."""

__version__ = "0.2.0"
