"""Which of OPA's built-ins a policy may use, and what to use in place of the others.

A bundle has to mean the same on the embedded engine and on a real OPA. tests/contract/test_two_engines.py asks both, for
every built-in there is: what is not refused here answered alike, within what ``arguments`` demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Kind(Enum):
    """``INTEGER`` is a number that came as one, ``WHOLE`` one made so by rounding; ``LARGE`` is whole and may be beyond 64 bits."""

    INTEGER = "integer"
    WHOLE = "whole"
    LARGE = "large"
    TEXT = "text"
    LIST = "list"
    SET = "set"


_PARSED = "engines differ in what they accept as {} and in how they write it; have agents send the values themselves"
_REFUSED = {
    "base64.decode base64url.decode": "decoders differ in what they accept; encode what you expect, and compare that",
    "base64.is_valid": "engines differ in what they accept; use regex.match",
    "bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor": "engines differ in numbers beyond 53 bits; "
    "use a list of names instead of bits",
    "ceil floor": "engines differ between -1 and 0; use round",
    "format_int": 'engines differ in bases and in fractions; use sprintf("%v", [...])',
    "glob.match": "engines differ in ?, classes, ** and most delimiters; use data.killcord.lib.wildcard.matches, or regex.match",
    "glob.quote_meta": "it has no effect on the embedded engine; use data.killcord.lib.wildcard.matches",
    "graph.reachable_paths": "engines differ in loops; use graph.reachable",
    "http.send": "the gateway makes no calls while it decides; move the data that the rule needs to a data file",
    "json.filter": "engines differ in how they read paths; use object.filter",
    "json.is_valid json.marshal json.marshal_with_options json.unmarshal": _PARSED.format("JSON"),
    "json.match_schema json.verify_schema": "engines describe errors differently; write what must hold as rules",
    "json.remove": "engines differ in how they read paths; use object.remove",
    "net.cidr_contains net.cidr_expand net.cidr_is_valid": "engines differ in addresses with leading zeros and in IPv4 inside IPv6; "
    "compare texts with startswith or regex.match",
    "numbers.range numbers.range_step": "its cost grows with a number in the call; "
    "write the numbers as literals, or put them into a data file",
    "object.subset": "the embedded engine fails on empty lists; compare keys as sets: object.keys(x) - {...}",
    "product": "its result may be larger than a double holds; multiply two numbers with *",
    "opa.runtime": "it answers differently on each engine; move the data that the rule needs to a data file",
    "rand.intn uuid.rfc4122": "a replayed decision must come out the same",
    "regex.is_valid": "engines differ in their patterns; the patterns of a bundle are checked when it loads",
    "regex.split": "engines differ in empty matches; use split",
    "regex.template_match": "the embedded engine fails on texts shorter than the template; use regex.match",
    "semver.compare": "engines differ in a leading v; compare the parts with split and to_number",
    "semver.is_valid": "engines differ in a leading v; use regex.match",
    "strings.count": "engines differ in overlapping matches; use count(indexof_n(...))",
    "strings.replace_n": "engines differ in whether a replacement is replaced again; use replace or regex.replace",
    "time.add_date time.diff": "engines differ at the ends of months and in time zones; "
    "calculate in nanoseconds: input.now + (24 * 3600) * 1000000000",
    "time.format": "engines differ in layouts; use time.date and time.clock",
    "time.now_ns": "a replayed decision must come out the same; use input.now",
    "time.parse_ns": "engines differ in layouts; compare dates as texts, which YYYY-MM-DD sorts",
    "trace": "its value differs between engines; use print",
    "upper": "engines differ in letters whose upper case has two letters; use lower",
    "urlquery.decode": "engines differ in what they omit; input.http.query is decoded already",
    "urlquery.decode_object": "engines differ in what they accept; input.http.query is decoded already",
    "uuid.parse": "engines differ in what they return; use regex.match",
    "yaml.is_valid yaml.marshal yaml.unmarshal": _PARSED.format("YAML"),
}
REFUSED: Mapping[str, str] = {name: reason for names, reason in _REFUSED.items() for name in names.split(" ")}
"""Built-ins that the embedded engine has and a policy may not use, each with the reason and an alternative."""

_LACKING = {
    "array": "flatten",
    "crypto": "md5 parse_private_keys sha1 sha256",
    "crypto.hmac": "equal md5 sha1 sha256 sha512",
    "crypto.x509": "parse_and_verify_certificates parse_and_verify_certificates_with_options parse_certificate_request "
    "parse_certificates parse_keypair parse_rsa_private_key",
    "graphql": "is_valid parse parse_and_verify parse_query parse_schema schema_is_valid",
    "io.jwt": "decode decode_verify encode_sign encode_sign_raw verify_eddsa verify_es256 verify_es384 verify_es512 verify_hs256 "
    "verify_hs384 verify_hs512 verify_ps256 verify_ps384 verify_ps512 verify_rs256 verify_rs384 verify_rs512",
    "json": "patch",
    "net": "cidr_contains_matches cidr_intersects cidr_merge lookup_ip_addr",
    "providers.aws": "sign_req",
    "regex": "globs_match",
    "rego": "parse_module",
    "rego.metadata": "chain rule",
    "strings": "render_template split_n",
    "uri": "is_valid parse",
}
ABSENT = frozenset(f"{family}.{name}" for family, names in _LACKING.items() for name in names.split(" "))
"""What OPA 1.22 has and the embedded engine lacks."""

_OPERATORS = "and assign contains div eq equal every gt gte if in internal lt lte minus mul neq or plus rem set_diff"
RESERVED = frozenset(_OPERATORS.split(" "))
"""Names under which OPA keeps the operators: a rule or variable of such a name replaces the operator."""

HELD_TO_A_REFERENCE = frozenset({("killcord", "lib", "number"), ("killcord", "lib", "wildcard")})
"""Packages whose every answer tests compare with a reference: they may do what others may not, and run unchanged."""

IN_THE_GRAMMAR = frozenset({"print"})
"""Known to the engine's grammar, not to its list."""

_RETURNING = {
    Kind.INTEGER: "count indexof time.parse_duration_ns time.parse_rfc3339_ns",
    Kind.WHOLE: "round",
    Kind.LARGE: "sum",
    Kind.LIST: "array.concat array.reverse array.slice indexof_n regex.find_n sort split",
    Kind.SET: "intersection object.keys union",
    Kind.TEXT: "base64.encode base64url.encode base64url.encode_no_pad concat hex.decode hex.encode lower regex.replace replace sprintf "
    "strings.reverse substring time.weekday trim trim_left trim_prefix trim_right trim_space trim_suffix type_name "
    "urlquery.encode urlquery.encode_object",
}
RESULTS: Mapping[str, Kind] = {name: kind for kind, names in _RETURNING.items() for name in names.split(" ")}
"""What the built-ins return of which that is known."""
