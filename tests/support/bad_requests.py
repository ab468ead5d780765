"""Requests that must be refused before a byte of them reaches a tool, by what is wrong with them."""

from __future__ import annotations

from tests.support.wire import get, post

NUL = "\0"


def raw(head: str, body: bytes = b"") -> bytes:
    return head.encode("latin-1") + body


def bodied(*lines: str, body: bytes = b"", method: str = "POST") -> bytes:
    return get("/erp/x", *lines, method=method) + body


PATHS = [
    "/erp/../admin", "/erp/a/../../admin", "/erp/./x", "/erp/x/..", "/erp/x/.", "/../erp/x", "/erp/%2e%2e/admin", "/erp/%2E%2E/admin",
    "/erp/.%2e/admin", "/erp/%2e/x", "/erp/%2e", "/%2e%2e/x", "/erp//admin", "//admin", "//erp/x", "/erp/x//", "/erp//", "///",
    "/erp/a%2fb", "/erp/a%2Fb", "/erp%2fadmin", "/erp/a%5cb", "/erp/a%5Cb", "/erp/a\\b", "/erp/..\\admin", "/erp/%252e%252e/admin",
    "/erp/a%252fb", "/erp/%25%32%65/x", "/erp/x;a=b", "/erp/x;/y", "/erp/..;/admin", "/erp/x%3ba=b", "/erp/x%3B", "/erp;v=1/x",
    "/erp/x%00", "/erp/x%00.json", "/erp/x%0d%0aX:y", "/erp/x%0a", "/erp/x%09y", "/erp/x%7f", "/erp/%C2%80", "/erp/x%", "/erp/x%2",
    "/erp/x%zz", "/erp/x%u002e", "/erp/%c0%ae%c0%ae/admin", "/erp/%c0%af", "/erp/%e0%80%af", "/erp/%f0%80%80%af", "/erp/%ff",
    "/erp/%ed%a0%80", "/erp/x#y", "/erp/x?a=1#y", "/erp/x%23y", "/erp/x%3fa=1", "/erp/x%3Fy", "/erp/%ef%bc%8fadmin",
    "/erp/%ef%bc%8e%ef%bc%8e/admin", "/erp/%e2%80%a4%e2%80%a4/x", "/erp/%e2%80%a5/x", "/erp/a%e2%81%84b", "/erp/a%e2%88%95b",
    "/erp/a%ef%bc%bcb", "/erp/%e2%84%80", "/erp/.%e2%80%8b.", "/erp/%e2%80%ae", "/erp/%e2%80%a8", "/erp/..%20", "/erp/...", "/erp/%20",
    "/erp/a|b", "/erp/a\"b", "/erp/a<b>", "/erp/a^b", "/erp/{a}", "/erp/a`b", "/erp/[a]", "/erp/a%ef%bc%9bb", "/erp/a%ef%bc%85" + "2e",
    "/erp/x?a=1&a=2", "/erp/x?a=1&%61=2", "/erp/x?a=1&A=2", "/erp/x?a+b=1&a%20b=2", "/erp/x?a=%00", "/erp/x?a=%zz", "/erp/x?a=%",
    "/erp/x?%00=1", "/erp/x?a=1;b=2", "/erp/x?a=%0d%0aX", "/erp/x?a=%c0%ae", "/erp/x?a=\\", "/erp/x?a=<", "/erp/x?a=\"",
    "/erp/x?a=1&%ef%bd%81=2", "/erp/x?%0aa=1", "/erp/x?a=%ff", "/erp/x?a=1&a%e2%80%8b=2",
]  # fmt: skip

TARGETS = {
    "absolute form": "GET http://localhost/erp/x HTTP/1.1",
    "absolute form, another authority": "GET http://evil.example/erp/x HTTP/1.1",
    "absolute form, https": "GET https://localhost/erp/x HTTP/1.1",
    "another scheme": "GET file:///erp/x HTTP/1.1",
    "userinfo": "GET http://a:b@localhost/erp/x HTTP/1.1",
    "no slash": "GET erp/x HTTP/1.1",
    "query alone": "GET ?a=1 HTTP/1.1",
    "CONNECT": "CONNECT localhost:80 HTTP/1.1",
    "CONNECT with a path": "CONNECT /erp/x HTTP/1.1",
    "TRACE": "TRACE /erp/x HTTP/1.1",
    "OPTIONS *": "OPTIONS * HTTP/1.1",
    "GET *": "GET * HTTP/1.1",
    "unknown method": "BREW /erp/x HTTP/1.1",
    "PROPFIND": "PROPFIND /erp/x HTTP/1.1",
    "method in small letters": "get /erp/x HTTP/1.1",
    "junk method": "G(T /erp/x HTTP/1.1",
    "HTTP/0.9": "GET /erp/x",
    "HTTP/1.2": "GET /erp/x HTTP/1.2",
    "HTTP/2.0": "GET /erp/x HTTP/2.0",
    "HTTP/2 preface": "PRI * HTTP/2.0",
    "HTTP/1": "GET /erp/x HTTP/1",
    "HTTP/01.1": "GET /erp/x HTTP/01.1",
    "HTTP/1.10": "GET /erp/x HTTP/1.10",
    "http in small letters": "GET /erp/x http/1.1",
    "another protocol": "GET /erp/x ICY/1.1",
    "two spaces before the target": "GET  /erp/x HTTP/1.1",
    "two spaces behind the target": "GET /erp/x  HTTP/1.1",
    "a tab": "GET\t/erp/x HTTP/1.1",
    "a space behind the version": "GET /erp/x HTTP/1.1 ",
    "a space before the method": " GET /erp/x HTTP/1.1",
    "a space in the target": "GET /erp/x y HTTP/1.1",
    "a NUL in the target": "GET /erp/x\0 HTTP/1.1",
    "a byte over 0x7f in the target": "GET /erp/\xe9 HTTP/1.1",
    "a vertical tab in the target": "GET /erp/\x0bx HTTP/1.1",
}

FIELDS = {
    "two Hosts": "Host: localhost",
    "two Hosts, another": "Host: evil.example",
    "method override": "X-HTTP-Method-Override: DELETE",
    "method override, short": "X-HTTP-Method: DELETE",
    "method override, shorter": "X-Method-Override: DELETE",
    "original url": "X-Original-URL: /admin",
    "original uri": "X-Original-URI: /admin",
    "rewrite url": "X-Rewrite-URL: /admin",
    "forwarded": "Forwarded: for=127.0.0.1",
    "forwarded for": "X-Forwarded-For: 127.0.0.1",
    "forwarded host": "X-Forwarded-Host: evil.example",
    "forwarded proto": "X-Forwarded-Proto: https",
    "forwarded prefix": "X-Forwarded-Prefix: /admin",
    "real ip": "X-Real-IP: 127.0.0.1",
    "client ip": "Client-IP: 127.0.0.1",
    "true client ip": "True-Client-IP: 127.0.0.1",
    "remote user": "X-Remote-User: root",
    "custom ip": "X-Custom-IP-Authorization: 127.0.0.1",
    "envoy": "X-Envoy-Original-Path: /admin",
    "envoy internal": "X-Envoy-Internal: true",
    "middleware": "X-Middleware-Subrequest: middleware",
    "proxy": "Proxy: http://evil.example",
    "underscore": "X_Thing: 1",
    "underscore twin of length": "Content_Length: 3",
    "underscore twin of a lease": "Killcord_Lease: x",
    "upgrade": "Upgrade: websocket",
    "h2c": "HTTP2-Settings: AAMAAABkAAQAAP__",
    "foreign origin": "Origin: http://evil.example",
    "null origin": "Origin: null",
    "origin with junk": "Origin: http://localhost@evil.example",
    "expect other": "Expect: 200-ok",
    "expect twice": "Expect: 100-continue, 100-continue",
    "expect empty": "Expect:",
    "authorization joined": "Authorization: Bearer a, Bearer b",
    "authorization twice": "Authorization: Bearer a\r\nAuthorization: Bearer b",
    "lease joined": "Killcord-Lease: a, b",
    "lease twice": "Killcord-Lease: a\r\nkillcord-lease: a",
    "step twice": "Killcord-Step: a\r\nKillcord-Step: b",
    "key twice": "Idempotency-Key: a\r\nIdempotency-Key: b",
    "key joined": "Idempotency-Key: a, b",
    "content type twice": "Content-Type: text/plain\r\nContent-Type: application/json",
    "if-match twice": "If-Match: a\r\nIf-Match: b",
    "traceparent twice": "traceparent: a\r\ntraceparent: b",
    "cookie twice": "Cookie: a=1\r\nCookie: b=2",
    "connection upgrade": "Connection: Upgrade",
    "connection names authorization": "Connection: close, Authorization",
    "connection names lease": "Connection: killcord-lease",
    "connection names key": "Connection: Idempotency-Key",
    "connection names length": "Connection: content-length",
    "connection names host": "Connection: host",
    "connection names if-match": "Connection: if-match",
    "connection names cookie": "Connection: cookie",
    "connection empty": "Connection:",
    "connection junk": "Connection: close,,x",
    "space before colon": "X : y",
    "tab before colon": "X\t: y",
    "no colon": "X",
    "empty name": ": y",
    "folded": "X: y\r\n z",
    "folded by tab": "X: y\r\n\tz",
    "first line blank": " X: y",
    "bare CR": "X: y\rz",
    "bare LF": "X: y\nY: z",
    "bare CR before CRLF": "X: y\r",
    "NUL in value": "X: a\0b",
    "control in value": "X: a\x01b",
    "DEL in value": "X: a\x7fb",
    "escape in value": "X: a\x1bb",
    "high byte in value": "X: caf\xe9",
    "high byte in name": "X\xe9: y",
    "junk in name": "X(y): z",
    "quote in name": '"X": z',
    "body on GET": "Content-Length: 3\r\n\r\nabc",
    "chunked GET": "Transfer-Encoding: chunked\r\n\r\n0",
    "transfer coding gzip": "Transfer-Encoding: gzip",
}

HOSTS = [
    "evil.example", "localhost.evil.example", "evil.example:8090", "localhost, evil.example", "localhost,localhost", "user@localhost",
    "localhost@evil.example",
    "localhost:80:80", "localhost:", "localhost:99999", "localhost:8o", "localhost/x", "localhost?x", "localhost#x",
    "", "localhost localhost", "http://localhost", "[::2]", "[::1", "::1", "[127.0.0.1]", "localhost.", "127.0.0.2", "0x7f.0.0.1",
    "2130706433",
]  # fmt: skip

LENGTHS = [
    "+5", "-5", "0005", "5, 5", "5,5", "5 5", "5;x", "0x5", "5.0", "5e0", "'5'", "", "five", "99999999999999999999", "18446744073709551621",
    "\x0b5",
]  # fmt: skip

CODINGS = [
    "gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked, identity", "xchunked", "chunkedx", "chunked;q=1",
    '"chunked"', ", chunked", "chunked,", "", "\x0bchunked", "chunked\x00", "deflate", "compress",
]  # fmt: skip

CHUNKS = {
    "extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
    "empty extension": b"3;\r\nabc\r\n0\r\n\r\n",
    "extension on the last": b"3\r\nabc\r\n0;a\r\n\r\n",
    "hex prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "leading zero": b"03\r\nabc\r\n0\r\n\r\n",
    "space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "not hex": b"g\r\nabc\r\n0\r\n\r\n",
    "bare LF behind size": b"3\nabc\r\n0\r\n\r\n",
    "bare CR behind size": b"3\rabc\r\n0\r\n\r\n",
    "bare LF behind data": b"3\r\nabc\n0\r\n\r\n",
    "data too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "data too short": b"4\r\nabc\r\n0\r\n\r\n",
    "huge size": b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
    "size over the cap": b"fffffff\r\nabc",
    "trailer without colon": b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    "trailer with a blank": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "trailer with a high byte": b"3\r\nabc\r\n0\r\nX: \xe9\r\n\r\n",
    "trailer with bare LF": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    "bare LF at the end": b"3\r\nabc\r\n0\r\n\n",
}

JSONS = {
    "duplicate keys": b'{"a": 1, "a": 2}',
    "duplicate keys, escaped": b'{"a": 1, "\\u0061": 2}',
    "duplicate keys, deep": b'[{"x": {"a": 1, "a": 2}}]',
    "case twins": b'{"amount": 1, "Amount": 2}',
    "full-width twins": '{"a": 1, "\uff41": 2}'.encode(),
    "invisible twins": '{"a": 1, "a\u200b": 2}'.encode(),
    "sharp s": '{"stra\u00dfe": 1, "STRASSE": 2}'.encode(),
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b"[-Infinity]",
    "10000 digits": b"[" + b"9" * 10_000 + b"]",
    "depth 65": b"[" * 65 + b"]" * 65,
    "depth 10000": b"[" * 10_000 + b"]" * 10_000,
    "unclosed depth 10000": b'{"a":' * 10_000,
    "lone surrogate": b'{"a": "\\ud800"}',
    "lone surrogate key": b'{"\\udc00": 1}',
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "not UTF-8": b'{"a": "\xff"}',
    "over-long UTF-8": b'{"a": "\xc0\xaf"}',
    "trailing data": b'{"a": 1} {"b": 2}',
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1 /* x */}',
    "single quotes": b"{'a': 1}",
    "leading zero": b'{"a": 01}',
    "control in string": b'{"a": "\x01"}',
    "newline in string": b'{"a": "\n"}',
    "cut": b'{"a": ',
    "NUL behind": b'{"a": 1}\0',
}


def _corpus() -> dict[str, bytes]:
    found = {f"path {path}": get(path) for path in PATHS}
    found |= {f"target: {name}": raw(f"{line}\r\nHost: localhost\r\n\r\n") for name, line in TARGETS.items()}
    found |= {f"field: {name}": get("/erp/x", line) for name, line in FIELDS.items()}
    found |= {f"host {host!r}": raw(f"GET /erp/x HTTP/1.1\r\nHost: {host}\r\n\r\n") for host in HOSTS}
    found |= {f"length {value!r}": bodied(f"Content-Length: {value}", body=b"abcde") for value in LENGTHS}
    found |= {f"coding {value!r}": bodied(f"Transfer-Encoding: {value}", body=b"3\r\nabc\r\n0\r\n\r\n") for value in CODINGS}
    found |= {f"chunks: {name}": bodied("Transfer-Encoding: chunked", body=chunks) for name, chunks in CHUNKS.items()}
    found |= {f"json: {name}": post(text, "/erp/x", "Content-Type: application/json") for name, text in JSONS.items()}
    found |= {
        "no Host": raw("GET /erp/x HTTP/1.1\r\n\r\n"),
        "no Host in 1.0": raw("GET /erp/x HTTP/1.0\r\n\r\n"),
        "empty line first": b"\r\n" + get(),
        "LF alone as line end": b"GET /erp/x HTTP/1.1\nHost: localhost\n\n",
        "two lengths": bodied("Content-Length: 3", "Content-Length: 3", body=b"abc"),
        "two other lengths": bodied("Content-Length: 3", "Content-Length: 4", body=b"abcd"),
        "length and coding": bodied("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "coding and length": bodied("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
        "two codings": bodied("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "coding in 1.0": get("/erp/x", "Transfer-Encoding: chunked", method="POST", version="1.0") + b"0\r\n\r\n",
        "body on HEAD": get("/erp/x", "Content-Length: 1", method="HEAD") + b"x",
        "body on OPTIONS": get("/erp/x", "Content-Length: 1", method="OPTIONS") + b"x",
        "body over the cap": bodied("Content-Length: 1048577"),
        "101 fields": get("/erp/x", *[f"X-{n}: y" for n in range(101)]),
        "a line of 17 KiB": get("/erp/x", "X: " + "y" * (17 << 10)),
        "a head of 40 KiB": get("/erp/x", *[f"X-{n}: " + "y" * 1000 for n in range(40)]),
        "a target of 20 KiB": get("/erp/" + "x" * (20 << 10)),
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        "json without a type, twice a key": post(b' {"a": 1, "a": 2}'),
        "json as text, twice a key": post(b'{"a": 1, "a": 2}', "/erp/x", "Content-Type: text/plain"),
        "json of a +json type": post(b'{"a": NaN}', "/erp/x", "Content-Type: application/merge-patch+json"),
        "json in latin-1": post(b'{"a": 1}', "/erp/x", "Content-Type: application/json; charset=latin-1"),
        "form with a key twice": post(b"a=1&a=2", "/erp/x", "Content-Type: application/x-www-form-urlencoded"),
        "form with raw bytes": post(b"a=\xff", "/erp/x", "Content-Type: application/x-www-form-urlencoded"),
        "gzip that is none": post(b"abc", "/erp/x", "Content-Encoding: gzip"),
    }
    return found


CORPUS = _corpus()
