"""A real S3 API behind the gateway: objects of every type are written, guarded, contained and put back byte for byte."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.support import gateway, s3, undone
from tests.support.gateway import Gateway
from tests.support.s3 import BUCKET, Bucket

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with s3.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(scope="module")
def before(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("before-s3")
    (folder / "adapters" / "s3").mkdir(parents=True)
    (folder / "adapters" / "s3" / "adapter.yaml").write_text(s3.ADAPTER)
    settings = gateway.settings(f"http://127.0.0.1:{bucket.port}")
    settings["adapters"] = [str(folder / "adapters")]
    settings["tools"] = {
        "s3": {
            "adapter": "s3",
            "base_url": f"http://127.0.0.1:{bucket.port}",
            "credential": {"header": "Authorization", "value": "${S3_AUTHORIZATION}"},
        }
    }
    made = Gateway(folder, settings, environ={"S3_AUTHORIZATION": s3.AUTHORIZATION})
    with gateway.serving(made):
        yield made


@dataclass
class Agent:
    gateway: Gateway
    run_id: str
    lease: str

    def call(self, method: str, key: str, body: bytes = b"", **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.lease}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.request(method, f"{self.gateway.data}/s3/{BUCKET}/{key}", content=body, headers=sent)


@pytest.fixture
def agent(before: Gateway) -> Agent:
    return Agent(before, *before.open_run("acme", scopes=["s3:*"]))


@pytest.fixture
def key() -> str:
    return f"object-{next(_numbers)}"


OBJECTS = [
    (
        b'{ "price": 1,\n  "account": 123456789012345678901234567890 }',
        {"Content_Type": "application/vnd.acme+json", "Cache_Control": "no-store"},
    ),
    (b"plain text \xc3\xa9\r\n", {"Content_Type": "text/plain; charset=utf-8", "Content_Language": "de"}),
    (bytes(range(256)), {"Content_Type": "application/octet-stream", "Content_Disposition": 'attachment; filename="a.bin"'}),
    (b"", {"Content_Type": "text/csv"}),
]


@pytest.mark.parametrize(("body", "headers"), OBJECTS, ids=["json", "text", "binary", "empty"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_object_comes_back_byte_for_byte(
    bucket: Bucket, agent: Agent, key: str, method: str, body: bytes, headers: dict[str, str]
) -> None:
    bucket.put(key, body, x_amz_meta_owner="ann", **headers)
    before = bucket.shown(key)
    assert agent.call("GET", key).content == body
    sent = b"" if method == "DELETE" else b'{"price": 2}'
    assert agent.call(method, key, sent, Content_Type="application/json", x_amz_meta_owner="bob").status_code in (200, 204)
    assert bucket.shown(key) != before
    done = undone.rolled_back(agent.gateway, agent.run_id)
    assert (done.status, done.tasks, bucket.shown(key)) == ("clean", [], before)
    assert done.nodes[0]["compared"][:2] == ["state", "content-type"]
    assert "x-amz-meta-*" in done.nodes[0]["compared"]


def test_what_the_run_created_is_removed(bucket: Bucket, agent: Agent, key: str) -> None:
    assert agent.call("PUT", key, b"new", Content_Type="text/plain").status_code == 200
    assert agent.call("PUT", key, b"newer", Content_Type="text/plain").status_code == 200
    assert bucket.shown(key) is not None
    assert undone.rolled_back(agent.gateway, agent.run_id).status == "clean"
    assert bucket.shown(key) is None


def test_another_writer_in_between_is_seen_and_not_overwritten(bucket: Bucket, agent: Agent, key: str) -> None:
    bucket.put(key, b"first", Content_Type="text/plain")
    agent.call("GET", key)
    bucket.put(key, b"a person's", Content_Type="text/plain")
    refused = agent.call("PUT", key, b"the agent's", Content_Type="text/plain")
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-changed")
    shown = bucket.shown(key)
    assert shown is not None
    assert shown[0] == b"a person's"


def test_a_rollback_leaves_what_somebody_wrote_since(bucket: Bucket, agent: Agent, key: str) -> None:
    bucket.put(key, b"first", Content_Type="text/plain")
    assert agent.call("PUT", key, b"the agent's", Content_Type="text/plain").status_code == 200
    bucket.put(key, b"a person's", Content_Type="text/plain")
    done = undone.rolled_back(agent.gateway, agent.run_id)
    assert (done.status, len(done.tasks)) == ("residue", 1)
    shown = bucket.shown(key)
    assert shown is not None
    assert shown[0] == b"a person's"


def test_a_write_of_the_same_bytes_with_other_metadata_leaves_no_version_to_guard_by(bucket: Bucket, agent: Agent, key: str) -> None:
    """S3 makes its tag of the bytes alone: what else a write changed cannot be told from what somebody changed after it."""
    bucket.put(key, b"same", Content_Type="text/plain", x_amz_meta_owner="ann")
    assert agent.call("PUT", key, b"same", Content_Type="text/html", x_amz_meta_owner="bob").status_code == 200
    done = undone.rolled_back(agent.gateway, agent.run_id)
    assert (done.status, len(done.tasks)) == ("residue", 1)


def test_an_object_that_cannot_be_read_whole_is_not_overwritten(bucket: Bucket, agent: Agent, key: str) -> None:
    bucket.put(key, b"x" * (1 << 20) + b"y" * 40, Content_Type="text/plain")
    refused = agent.call("PUT", key, b"small", Content_Type="text/plain")
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (502, "tool-unreachable", False)
    shown = bucket.shown(key)
    assert shown is not None
    assert len(shown[0]) == (1 << 20) + 40
