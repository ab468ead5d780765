"""Keys of a data_dir, made before the first start or rotated between two."""

from __future__ import annotations

from pathlib import Path

from gateway.clients.heads import open_head_key
from gateway.clients.keys import add_lease_key, open_lease_keys
from gateway.clients.vault import open_master_key


def init(data_dir: Path) -> Path:
    """Make the keys that are not there yet and return their folder; those that are there stay.

    Raises:
        Misconfigured: a key that is there cannot be used, or others than its owner can read it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = data_dir / "keys"
    open_lease_keys(folder)
    open_head_key(folder)
    open_master_key(folder)
    return folder


def rotate(data_dir: Path) -> Path:
    """Make the lease key that signs from the next start on; leases signed before stay good until they end.

    Raises:
        Misconfigured: as for :func:`init`.
    """
    return add_lease_key(init(data_dir))
