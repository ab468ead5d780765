import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.clients.clock import SystemClock
from gateway.clients.keys import vault
from gateway.stores.sqlite import SqliteStore, open_store
from gateway.stores.sqlite.log.opening import Expected


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(tmp_path / "var", SystemClock(), Expected(key=b"k" * 32))
    yield store
    await store.close()


@pytest.fixture
def sealing(store: SqliteStore, tmp_path: Path) -> vault.TenantVault:
    return vault.TenantVault(store.blobs, vault.open_master_key(tmp_path / "keys"))


async def test_what_was_sealed_opens_again_also_after_a_restart(store: SqliteStore, sealing: vault.TenantVault, tmp_path: Path) -> None:
    sealed = await sealing.seal("acme", b"state")
    assert sealed.ref.startswith("sha256:")
    assert b"state" not in sealed.data
    assert await sealing.unseal(sealed) == b"state"
    restarted = vault.TenantVault(store.blobs, vault.open_master_key(tmp_path / "keys"))
    assert await restarted.unseal(sealed) == b"state"


async def test_the_same_content_is_sealed_differently_each_time(sealing: vault.TenantVault) -> None:
    assert (await sealing.seal("acme", b"x")).ref != (await sealing.seal("acme", b"x")).ref


async def test_a_changed_blob_or_one_of_another_tenant_does_not_open(sealing: vault.TenantVault) -> None:
    sealed = await sealing.seal("acme", b"state")
    await sealing.seal("globex", b"other")
    with pytest.raises(KeyError):
        await sealing.unseal(replace(sealed, tenant="globex"))
    for index in (0, 10, 25, len(sealed.data) - 1):
        data = bytearray(sealed.data)
        data[index] ^= 1
        with pytest.raises(ValueError, match="sealed"):
            await sealing.unseal(replace(sealed, data=bytes(data)))


async def test_a_forgotten_tenant_cannot_be_read_any_more(sealing: vault.TenantVault) -> None:
    sealed = await sealing.seal("acme", b"state")
    assert await sealing.forget("acme")
    with pytest.raises(KeyError):
        await sealing.unseal(sealed)
    assert not await sealing.forget("acme")
    renewed = await sealing.seal("acme", b"later")
    assert await sealing.unseal(renewed) == b"later"
    with pytest.raises(KeyError):
        await sealing.unseal(sealed)


async def test_calls_that_seal_first_at_once_agree_on_one_key(store: SqliteStore, tmp_path: Path) -> None:
    vaults = [vault.TenantVault(store.blobs, vault.open_master_key(tmp_path / "keys")) for _ in range(8)]
    sealed = await asyncio.gather(*[one.seal("acme", b"x") for one in vaults])
    for blob in sealed:
        assert await vaults[0].unseal(blob) == b"x"


async def test_another_master_key_opens_nothing(store: SqliteStore, sealing: vault.TenantVault) -> None:
    sealed = await sealing.seal("acme", b"state")
    with pytest.raises(ValueError, match=r"restore keys/master\.key"):
        await vault.TenantVault(store.blobs, os.urandom(32)).unseal(sealed)


async def test_many_tenants_do_not_crowd_each_other_out(sealing: vault.TenantVault) -> None:
    sealed = [await sealing.seal(f"t{number}", b"x") for number in range(300)]
    for blob in sealed:
        assert await sealing.unseal(blob) == b"x"


def test_a_master_key_that_others_can_read_or_that_is_invalid_stops_the_start(tmp_path: Path) -> None:
    vault.open_master_key(tmp_path / "keys")
    path = tmp_path / "keys" / "master.key"
    os.chmod(path, 0o604)
    with pytest.raises(errors.Misconfigured, match="chmod 600"):
        vault.open_master_key(tmp_path / "keys")
    os.chmod(path, 0o600)
    path.write_text("short")
    with pytest.raises(errors.Misconfigured, match="64 hex digits"):
        vault.open_master_key(tmp_path / "keys")
