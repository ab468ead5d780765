"""References of a tool's reply headers as an agent can follow them: on the data API, or not at all. Pure.

What leads to the tool's own base URL is written as ``/{tool}/...``, so that it holds under whatever host the agent used. What leads
elsewhere would be followed beside the gateway, and a path above the base URL leads to another place than the tool means: both are dropped.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_SCHEMES = ("", "http", "https")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_UNSAFE = re.compile(r"[\x00-\x20\\\x7f]")
"""What some client leaves out of a URL or takes for a slash: with it a path could mean another one."""

_LINK = re.compile(r'\s*<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)')
_ANCHOR = re.compile(r';\s*anchor\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)', re.IGNORECASE)
_REFRESH = re.compile(r"\s*([0-9.]+)\s*(?:[;,]\s*(?:url\s*=\s*)?(['\"]?)(.*?)\2\s*)?", re.IGNORECASE)


class LinkBase(Struct, frozen=True, gc=False):
    """Where a reply came from: the tool's name, the authority and path of its base URL (no slash at the end), and the tool's own path.

    ``public`` are authority and path of the URL by which the tool calls itself, if that is another one.
    """

    tool: str
    authority: str
    base: str
    path: str
    public: tuple[str, str] | None = None


def reference(source: LinkBase, text: str) -> str | None:
    """A reference (RFC 3986), relative to the request, as a path of the data API; ``None`` if it does not lead to the tool."""
    text = text.strip(" \t")
    if _UNSAFE.search(text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    base = source.base
    if parts.scheme or parts.netloc:
        scheme = parts.scheme.lower()
        known = ((source.authority, base), *((source.public,) if source.public else ()))
        bases = [at for authority, at in known if scheme in _SCHEMES and _same_authority(parts.netloc, scheme, authority)]
        if not bases:
            return None
        path = parts.path or "/"
        base = next((at for at in bases if _beneath(at, path) is not None), bases[0])
    elif parts.path:
        path = parts.path if parts.path.startswith("/") else f"{source.base}{source.path}".rpartition("/")[0] + "/" + parts.path
    else:
        path = f"{source.base}{source.path}"
    within = _beneath(base, path)
    if within is None:
        return None
    # The text after the path, as it was written: an empty query is not the same as none.
    _, mark, rest = _tail(text)
    return f"/{source.tool}{within}{mark}{rest}"


def links(source: LinkBase, text: str) -> str | None:
    """A line of ``Link`` (RFC 8288) with the links that lead to the tool; ``None`` if none does, or the line cannot be read."""
    kept, at = [], 0
    while text[at:].strip(" ,\t"):
        found = _LINK.match(text, at)
        if found is None:
            return None
        target, parameters = reference(source, found[1]), _anchored(source, found[2])
        if target is not None and parameters is not None:
            kept.append(f"<{target}>{parameters.rstrip()}")
        at = found.end() + 1  # behind the comma
    return ", ".join(kept) or None


def refresh(source: LinkBase, text: str) -> str | None:
    """``Refresh: 5; url=...`` on the data API; ``None`` if it leads elsewhere."""
    found = _REFRESH.fullmatch(text)
    if found is None:
        return None
    if not found[3]:
        return found[1]
    target = reference(source, found[3])
    return None if target is None else f"{found[1]}; url={target}"


def _tail(text: str) -> tuple[str, str, str]:
    """A reference before its query or fragment, the character that begins that, and the rest."""
    place = min((found for found in (text.find("?"), text.find("#")) if found >= 0), default=len(text))
    return text[:place], text[place : place + 1], text[place + 1 :]


def _same_authority(netloc: str, scheme: str, own: str) -> bool:
    """Whether the two are the tool's: the port of the scheme is no other than none, and TLS may end in front of the tool."""
    name = netloc.lower()
    for default in [_DEFAULT_PORTS[scheme]] if scheme else _DEFAULT_PORTS.values():
        name = name.removesuffix(default)
    return name == own.lower()


def _beneath(base: str, path: str) -> str | None:
    """The tool's own path of a whole one, its dot segments resolved; ``None`` if it is not beneath the base."""
    segments: list[str] = []
    parts = path.split("/")[1:]
    for place, raw in enumerate(parts):
        meant = unquote(raw)
        if meant in (".", ".."):
            if raw != meant:  # readers differ over an encoded one
                return None
            if meant == "..":
                if not segments:
                    return None
                segments.pop()
            if place == len(parts) - 1:
                segments.append("")
        else:
            segments.append(raw)
    whole = "/" + "/".join(segments)
    if whole != base and not whole.startswith(f"{base}/"):
        return None
    return whole[len(base) :] or "/"


def _anchored(source: LinkBase, parameters: str) -> str | None:
    """Parameters with their anchor on the data API; ``None`` if that leads elsewhere: then the link is not about this tool."""
    found = _ANCHOR.search(parameters)
    if found is None:
        return parameters
    target = reference(source, found[1].strip('"'))
    return None if target is None else f'{parameters[: found.start()]}; anchor="{target}"{parameters[found.end() :]}'
