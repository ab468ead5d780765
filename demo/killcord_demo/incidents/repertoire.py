"""Every play there is: one for each trigger, in the order of docs/triggers.md."""

from __future__ import annotations

from collections.abc import Mapping

from killcord_demo.incidents import behaviour, blast, policy, uncertainty, verification
from killcord_demo.incidents.play import Play

_LAYERS = (policy, verification, behaviour, uncertainty, blast)

PLAYS: Mapping[str, Play] = {play.trigger: play for layer in _LAYERS for play in layer.PLAYS}
"""By the trigger's name."""
