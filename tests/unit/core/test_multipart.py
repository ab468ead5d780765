"""Forms of parts are the same call under another boundary, and under nothing else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.request import idempotency, multipart
from gateway.model.call import Call, Headers

FILE = b'Content-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\r\n--x\x01'
FIELD = b'Content-Disposition: form-data; name="amount"\r\n\r\n5'


def form(boundary: bytes, *parts: bytes, end: bytes = b"\r\n") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--" + end


def typed(value: bytes) -> Headers:
    return ((b"Content-Type", value),)


def sent(boundary: bytes, *parts: bytes, quoted: bool = False, more: bytes = b"", end: bytes = b"\r\n") -> Call:
    named = b'"' + boundary + b'"' if quoted else boundary
    headers = typed(b"multipart/form-data; boundary=" + named + more)
    return Call(tool="t", method="POST", path="/files", segments=("files",), headers=headers, body=form(boundary, *parts, end=end))


ONE = sent(b"----WebKitFormBoundaryAAAA", FIELD, FILE)


@pytest.mark.parametrize(
    "other",
    [
        sent(b"8f3c", FIELD, FILE),
        sent(b"with space", FIELD, FILE, quoted=True),
        sent(b"8f3c", FIELD, FILE, end=b""),
        replace(sent(b"8f3c", FIELD, FILE), headers=((b"content-TYPE", b"Multipart/Form-Data;boundary=8f3c"),)),
    ],
)
def test_another_boundary_is_the_same_content(other: Call) -> None:
    assert other.body != ONE.body
    assert idempotency.content_of(other) == idempotency.content_of(ONE)


@pytest.mark.parametrize(
    "other",
    [
        sent(b"b", FILE, FIELD),
        sent(b"b", FIELD),
        sent(b"b", FIELD, FILE, FILE),
        sent(b"b", FIELD.replace(b"5", b"6"), FILE),
        sent(b"b", FIELD.replace(b"amount", b"Amount"), FILE),
        sent(b"b", FIELD, FILE.replace(b"a.bin", b"b.bin")),
        sent(b"b", FIELD, FILE.replace(b"octet-stream", b"json")),
        sent(b"b", FIELD + b"\r\n", FILE),
        sent(b"b", FIELD, FILE, more=b"; charset=utf-16"),
        replace(sent(b"b", FIELD, FILE), path="/others"),
        replace(sent(b"b", FIELD, FILE), headers=typed(b"application/octet-stream")),
    ],
)
def test_whatever_else_differs_is_other_content(other: Call) -> None:
    assert idempotency.content_of(other) != idempotency.content_of(ONE)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"multipart/form-data", form(b"b", FIELD)),
        (b"multipart/form-data; boundary=", form(b"", FIELD)),
        (b"multipart/form-data; boundary=b; boundary=b", form(b"b", FIELD)),
        (b"multipart/form-data; boundary = b", form(b"b", FIELD)),
        (b"multipart/form-data, boundary=b", form(b"b", FIELD)),
        (b"multipart/form-datax; boundary=b", form(b"b", FIELD)),
        (b"multipart/mixed; boundary=b", form(b"b", FIELD)),
        (b'multipart/form-data; boundary="b\\""', form(b'b"', FIELD)),
        (b"multipart/form-data; boundary=b", b"preamble\r\n" + form(b"b", FIELD)),
        (b"multipart/form-data; boundary=b", form(b"b", FIELD) + b"epilogue"),
        (b"multipart/form-data; boundary=b", form(b"b", FIELD).replace(b"\r\n", b"\n")),
        (b"multipart/form-data; boundary=b", form(b"b", FIELD).replace(b"--b\r\n", b"--b \r\n")),
        (b"multipart/form-data; boundary=b", form(b"b", FIELD)[:-4]),
        (b"multipart/form-data; boundary=b", b""),
        (b"multipart/form-data; boundary=b", b"--b--\r\n"),
        (b"multipart/form-data; boundary=b", form(b"b", b"a\r\n--bc")),
    ],
)
def test_what_is_not_strictly_written_is_its_bytes(content_type: bytes, body: bytes) -> None:
    assert multipart.parts_of(typed(content_type), body) is None


def test_a_coded_form_is_its_bytes() -> None:
    assert multipart.parts_of((*typed(b"multipart/form-data; boundary=b"), (b"Content-Encoding", b"gzip")), form(b"b", FIELD)) is None
