"""Questions to every built-in that a policy may use.

By name: uses of it, over ``a``, ``b`` and ``c``, and what these are. A use that both engines could not answer alike does
not load, which ``REFUSED_USES`` holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

Use = tuple[str, list[list[object]]]

TEXTS: list[object] = [
    *("", "a", "abc", "ABC", "aab", " a ", "a b", "a,b,,c", "a.b", "a:b", "x1y2", "0", "-1", "1.5", "null", "%41", "<&>", '"', "\\"),
    *("a\nb", "a\tb", "\u00a0a\u2003", "\u0085a", "\u0000", "\ufeffa", "\u2028"),
    *("é", "e\u0301", "ß", "İ", "ı", "ΑΣ", "Σ", "ſ", "ŉ", "ﬁ", "ǅ", "٣", "𝒳", "a𝒳b", "\u202eabc", "\ua7cb", "👩‍👩‍👧"),
]
NUMBERS: list[object] = [
    *(0, 1, -1, 2, 3, 255, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.1, 0.1 + 0.2, 1.0, -0.0, 1e-7, 1e15, 5e-324, 123456789.5),
]
HUGE: list[object] = [2**63, 2**64 - 1, 1e19, 1e300, -1e300, 1.7976931348623157e308]
OTHERS: list[object] = [None, True, False, [], {}]
LISTS: list[object] = [
    [],
    [1],
    [1, 2, 3],
    [3, 1, 2, 1],
    ["b", "a", "é", "Z", ""],
    [None, True, 1, "a", []],
    [[2], [1], []],
    [{"b": 1}, {"a": 2}],
]
OBJECTS: list[object] = [{}, {"a": 1}, {"b": 2, "a": {"c": [1, {"d": None}]}}, {"": 0, "é": 1}, {"a": {"c": 2, "e": 3}}]
VALUES: list[object] = [*TEXTS, *NUMBERS, *OTHERS, *LISTS, *OBJECTS]
FEW: list[object] = ["", "a", "b", "aa", "é", "\u0301", "𝒳", ",", 1, None, ["a"]]


def over(*pools: Iterable[object]) -> list[list[object]]:
    return [list(each) for each in product(*pools)]


def _texts(name: str) -> dict[str, list[Use]]:
    return {name: [(f"{name}(a)", over([*TEXTS, *OTHERS, 1]))]}


def _two_texts(name: str) -> dict[str, list[Use]]:
    return {name: [(f"{name}(a, b)", over([*TEXTS, *OTHERS, 1], FEW))]}


def _any(name: str) -> dict[str, list[Use]]:
    return {name: [(f"{name}(a)", over(VALUES)), (f"{name}({{each | some each in a}})", over(VALUES))]}


PATTERNS = [
    "",
    "a",
    "^[a-z]+$",
    "(?i)^abc$",
    "(?i)[é𝒳ß]",
    "(?s)^.$",
    "(?m)^b$",
    "a|b|",
    "(a)(b)?",
    "(?P<first>[a-z]).*",
    "a{2}",
    "a{1,}?",
    "[^a]",
    "[[:alpha:]_]+",
    "\\Aab?",
    "\\.|\\-|\\/",
    "[0-9]+(\\.[0-9]{1,2})?",
    "\\x41",
    "[\\]\\[\\-a]",
    "[é-ü]",
    "[a-z-]",
    "(?:ab)*",
    "\\t|\\n",
    "b$",
    "()",
    "é",
    "[^\\t\\n\\f\\r ]",
]
PATTERN_TEXTS: list[object] = [*TEXTS, "ab", "abab", "10.25", "a-b/c", "ü", 1, None, []]
PAIRS = over(["abc", ["abc", "x"], [], "", [""], 1, [1], None], ["a", "c", ["a", "x"], [], "", 1, [1]])

PROBES: dict[str, list[Use]] = {
    **{
        name: use
        for one in ("base64.encode", "base64url.encode", "base64url.encode_no_pad", "hex.encode")
        for name, use in _texts(one).items()
    },
    **{name: use for one in ("lower", "strings.reverse", "trim_space", "urlquery.encode") for name, use in _texts(one).items()},
    **{name: use for one in ("contains", "endswith", "split", "startswith", "trim", "trim_left") for name, use in _two_texts(one).items()},
    **{name: use for one in ("trim_prefix", "trim_right", "trim_suffix") for name, use in _two_texts(one).items()},
    **{name: use for one in ("count", "is_array", "is_boolean", "is_null", "is_number") for name, use in _any(one).items()},
    **{name: use for one in ("is_object", "is_set", "is_string", "type_name") for name, use in _any(one).items()},
    "abs": [("abs(a)", over([*NUMBERS, *OTHERS, "1"]))],
    "round": [
        ("round(a)", over([*NUMBERS, *OTHERS, "1"])),
        ("round(a) * round(b) > 5000", over([*NUMBERS, *HUGE, 49.5, 50, 50.5, "1", None], [0, 0.5, 100, -0.5, -100, 2.5, 2**53 - 1])),
        ("(round(a) * 100) + round(b)", over([49.5, -49.5, 0.4, 2**53 - 1, 1 - 2**53, "1", None], [0, 0.5, 100, -0.5, 2.5, 2**53 - 1])),
    ],
    "array.concat": [("array.concat(a, b)", over([*LISTS[:4], 1, None], [*LISTS[:4], {}, "x"]))],
    "array.reverse": [("array.reverse(a)", over([*LISTS, "abc", None, {}]))],
    "array.slice": [
        (f"array.slice(a, {first}, {last})", over([[], [1, 2, 3], "abc", None]))
        for first, last in product(["0", "-1", "2", "count(a)"], ["0", "2", "9", "count(a) - 1"])
    ],
    "concat": [("concat(a, b)", over([",", "", "é", 1], [*LISTS, "ab", None])), ('concat("-", {x | some x in a})', over(LISTS))],
    "graph.reachable": [
        (
            f"graph.reachable(a, {start})",
            over([{"a": ["b"], "b": ["c", "a"], "c": []}, {"a": ["z"]}, {}, {"a": "b"}, {"a": None}, 1], [["a"], [], ["z"], "a"]),
        )
        for start in ("b", "{x | some x in b}")
    ],
    "hex.decode": [("hex.decode(a)", over(["", "61", "6", "c3A9", "zz", "0x61", " 61", *OTHERS]))],
    "indexof": [(f'indexof(a, "{needle}")', over([*TEXTS, 1, None])) for needle in ("a", "b", "é", "𝒳")],
    "indexof_n": [(f'indexof_n(a, "{needle}")', over([*TEXTS, 1, None])) for needle in ("a", "b", "é", "𝒳")],
    "intersection": [("intersection({{x | some x in a}, {x | some x in b}})", over(LISTS, LISTS))],
    "union": [("union({{x | some x in a}, {x | some x in b}})", over(LISTS, LISTS))],
    "max": [("max(a)", over([*LISTS, NUMBERS, TEXTS, *OTHERS, "x"])), ("max({x | some x in a})", over([*LISTS, NUMBERS, TEXTS]))],
    "min": [("min(a)", over([*LISTS, NUMBERS, TEXTS, *OTHERS, "x"])), ("min({x | some x in a})", over([*LISTS, NUMBERS, TEXTS]))],
    "sort": [("sort(a)", over([*LISTS, NUMBERS, TEXTS, *OTHERS, "x"])), ("sort({x | some x in a})", over([*LISTS, NUMBERS, TEXTS]))],
    "sum": [
        (
            f"sum([round(x) | some x in a; is_number(x)]) {sign} 100",
            over([[], [99, 1], [99.5, 0.5], [2**53 - 1] * 3, ["1"], "1", {}]),
        )
        for sign in ("<=", "==", ">")
    ],
    "object.filter": [("object.filter(a, b)", over([*OBJECTS, 1], [["a"], ["a", "é"], {"a": 0}, [], "a", None, [1]]))],
    "object.remove": [("object.remove(a, b)", over([*OBJECTS, 1], [["a"], ["a", "é"], {"a": 0}, [], "a", None, [1]]))],
    "object.get": [
        ("object.get(a, b, c)", over([*OBJECTS, [1, 2], 1, None], ["a", "x", ["a", "c"], ["a", "c", 0], [], 0, None], [0, None]))
    ],
    "object.keys": [("object.keys(a)", over([*OBJECTS, *LISTS, 1, None, "x"]))],
    "object.union": [("object.union(a, b)", over([*OBJECTS, 1, None], [*OBJECTS, [], "x"]))],
    "object.union_n": [("object.union_n(a)", over([[], OBJECTS, OBJECTS[::-1], [1], {}, 1, None]))],
    "print": [("[x | x := a; print(x)]", over(VALUES))],
    "regex.match": [(f"regex.match(`{pattern}`, a)", over(PATTERN_TEXTS)) for pattern in PATTERNS],
    "regex.find_n": [(f"regex.find_n(`{pattern}`, a, {n})", over(PATTERN_TEXTS)) for pattern in PATTERNS for n in (-1, 0, 1)],
    "regex.find_all_string_submatch_n": [
        (f"regex.find_all_string_submatch_n(`{pattern}`, a, -1)", over(PATTERN_TEXTS)) for pattern in PATTERNS
    ],
    "regex.replace": [
        (f"regex.replace(a, `{pattern}`, b)", over(PATTERN_TEXTS, ["", "x", "$0", "${1}y", "$1a", "$$", "\\1", "$first"]))
        for pattern in PATTERNS
    ],
    "replace": [(f'replace(a, "{old}", b)', over([*TEXTS, 1, None], ["", "x", "aa", "é", 1])) for old in ("a", "aa", "b", "é", "𝒳")],
    "sprintf": [
        ('sprintf("%v!", [a])', over([*TEXTS, 0, -1, 2**53, 2**63, 0.5, -1.5, 99.99, *OTHERS, *LISTS, *OBJECTS])),
        ('sprintf("%s: %v%%", [lower(a), b])', over([*TEXTS, 1], [1, "x"])),
        ('sprintf("%v", [sort({x | some x in a})])', over(LISTS)),
    ],
    "strings.any_prefix_match": [("strings.any_prefix_match(a, b)", PAIRS)],
    "strings.any_suffix_match": [("strings.any_suffix_match(a, b)", PAIRS)],
    "substring": [
        (f"substring(a, {offset}, {length})", over([*TEXTS, 1, None]))
        for offset, length in product(["0", "1", "9", "-1", "count(a) - 1"], ["0", "1", "9", "-1"])
    ],
    "time.clock": [("time.clock(a)", over([0, 1, -1, 1790000000123456789, 2**63 - 1, -(2**63), 2**63, 1.5, "0", None, [], [0], [0, 1]]))],
    "time.date": [("time.date(a)", over([0, 1, -1, 951782400000000000, 1790000000123456789, 2**63 - 1, -(2**63), 1.5, "0", None]))],
    "time.weekday": [
        ("time.weekday(a)", over([0, -1, 1790000000123456789, 2**63 - 1, 1.5, "0", None])),
        *(
            (
                f'[time.clock([a, "{zone}"]), time.date([a, "{zone}"]), time.weekday([a, "{zone}"])]',
                over([0, 1774746000000000000, 1792890000000000000, -(2**60)]),
            )
            for zone in ("", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Nowhere/City")
        ),
    ],
    "time.parse_duration_ns": [(f'time.parse_duration_ns("{text}")', [[]]) for text in ("1s", "1h30m", "90m", "250ms", "1us", "36h")],
    "time.parse_rfc3339_ns": [
        (f'time.parse_rfc3339_ns("{text}")', [[]])
        for text in ("2026-12-24T00:00:00Z", "1970-01-01T00:00:00Z", "2199-02-28T23:59:59-11:30", "2028-02-29T12:00:00+02:00")
    ],
    "to_number": [
        ('to_number("12")', [[]]),
        ("to_number(round(a))", over([*NUMBERS, *OTHERS, "1"])),
        ("to_number(count(a))", over([*LISTS, 1])),
    ],
    "units.parse": [
        (f'units.parse("{n}{unit}")', [[]]) for n in ("0", "1", "10", "999999") for unit in ("", "K", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")
    ],
    "units.parse_bytes": [
        (f'units.parse_bytes("{n}{unit}{byte}")', [[]])
        for n in ("0", "1", "10", "999999")
        for unit in ("K", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")
        for byte in ("", "B")
    ],
    "urlquery.encode_object": [
        ("urlquery.encode_object(a)", over([{}, {"a": "b c"}, {"b": ["2", "1"], "a": "é"}, {"a": 1}, {"a": []}, 1, None]))
    ],
    "walk": [("[x | walk(a, x)]", over(VALUES)), ("[p | walk(a, [p, v]); v == 1]", over(VALUES))],
}

LANGUAGE: list[Use] = [
    ("[x | some x in a]", over(VALUES)),
    ("{[k, x] | some k, x in a}", over(VALUES)),
    ("[x | x := a[_]]", over(VALUES)),
    ("[x | x := a[_].b[_]]", over([[{"b": [1]}, {"c": 1}, {"b": 2}, 3], {"b": {"b": {"c": 1}}}, 1])),
    ("[1 | every x in a { x == 1 }]", over(VALUES)),
    ("[1 | every k, x in a { k != x }]", over([*LISTS, *OBJECTS, 1])),
    ("[1 | a in b]", over(["a", 1, None, {"a": 1}, [1]], [*LISTS, *OBJECTS, "abc", 1, None])),
    ('[1 | "a", b in a]', over(OBJECTS, [1, {"c": 2, "e": 3}])),
    *((f"a {sign} b", over(VALUES[::3], VALUES[::4])) for sign in ("==", "!=")),
    *(
        (f"a {sign} b", over([*NUMBERS, *TEXTS[::3], *OTHERS, [1], [2], {"a": 1}], [*NUMBERS[::2], *TEXTS[::4], *OTHERS, [1], {"b": 0}]))
        for sign in ("<", "<=", ">", ">=")
    ),
    ("a == 0.1", over([0.1, 0.10000000000000001, 0.1 + 1e-17])),
    (
        "data.killcord.lib.number.parse(a)",
        over(["0", "12", "-12.345", "999999999999.999", "1e3", "1.5E-3", "-0", "-0.0", "1.0", 7, 2.5, -3]),
    ),
    (
        "data.killcord.lib.number.parse(a) > 100",
        over(["100", "100.001", "99.999", "1e3", " 101", "101 ", "+101", "1_01", "0x65", "101.", ".5", "007", "", "1e400", "nan", "٣"]),
    ),
    ("data.killcord.lib.number.parse(a) > 100", over(["100.00000000000000001", "101.0000", "1" * 30, "1e10", None, True, [], {"a": 1}])),
    ("a > 9007199254740992", over([2**53, 2**53 + 1, 9007199254740992.0, 9007199254740994.0, 1e300])),
    ("a == 9007199254740993", over([2**53, 2**53 + 1, 9007199254740992.0])),
    ("round(a) + round(b) > 3", over([*NUMBERS, *HUGE, "1", None], [1, 2.5, 1e300])),
    ("count(a) % 2", over([*LISTS, 1])),
    ("(count(a) * 7) - 3", over([*LISTS, 1])),
    ('{x | some x in a} - {1, "a"}', over(LISTS)),
    ("{x | some x in a} | {y | some y in b}", over(LISTS, LISTS)),
    ("{x | some x in a} & {y | some y in b}", over(LISTS, LISTS)),
    ("[y | [1, y] = a]", over([[1, 2], [2, 2], [1], 1, {}])),
    ("{k: v | some k, v in a}", over([*OBJECTS, ["x"], 1])),
    ("a[b]", over([[1, 2], {"a": 1, "1": 2}, "ab", 1, None], [0, 1, -1, 1.0, "a", "1", None])),
    ("count({x | some x in a})", over([[1, 1.0, True, "1"], [0, -0.0], ["é", "e\u0301"], [2**53, 2**53 + 1, 9007199254740992.0]])),
    ("[1 | not a]", over(VALUES)),
    ("[1 | not a == 1]", over(VALUES)),
    ('{"set": {x | some x in a}}', over(LISTS)),
]

REFUSED_USES: list[tuple[str, str]] = [
    ("array.slice(a, 0, b)", "array.slice: engines differ in fractions"),
    ("substring(a, b, 1)", "substring: engines differ in fractions"),
    ("substring(a, round(b), 1)", "substring: engines differ in fractions"),
    ('indexof(a, "")', "indexof: engines differ in where they find an empty text"),
    ("indexof_n(a, b)", "write the search text as a literal"),
    ('replace(a, b, "")', "write the search text as a literal"),
    ("regex.match(a, b)", "regex.match: a pattern that is made on a call cannot be checked"),
    ('regex.match(concat("", ["^", a]), b)', "data.killcord.lib.wildcard.matches"),
    ("regex.match(`^\\d+$`, a)", "engines differ in \\d; write [0-9]"),
    ("regex.match(`\\w`, a)", "write [0-9A-Za-z_]"),
    ("regex.replace(a, `\\s`, ``)", "engines differ in \\s"),
    ("regex.find_n(`\\b`, a, 1)", "engines differ in \\b"),
    ("regex.match(`\\p{L}`, a)", "engines differ in \\p"),
    ("regex.match(`[a&&b]`, a)", "engines differ in [a&&b]"),
    ("regex.match(`[z-a]`, a)", "has a reversed range"),
    ("regex.match(`[^]`, a)", "engines differ in"),
    ("regex.match(`(?=a)`, a)", "engines differ in (?=a"),
    ("regex.match(`(?x)a`, a)", "engines differ in (?x)"),
    ("regex.match(`x{1001}`, a)", "more than 1000 times"),
    ("regex.match(`(x{100}){100}`, a)", "more than 1000 times"),
    ("regex.match(`a**`, a)", "repeats nothing, repeats a repetition"),
    ("regex.match(`a{`, a)", "engines differ in {"),
    ("regex.match(`(a`, a)", "parentheses are not balanced"),
    ("regex.match(`a)`, a)", "parentheses are not balanced"),
    ("regex.match(`\\Qa\\E`, a)", "engines differ in \\Q"),
    ("regex.match(`[\\d-z]`, a)", "engines differ in [\\d-"),
    ("regex.find_n(`a`, a, b)", "regex.find_n: engines differ in fractions"),
    ("sprintf(a, [b])", "sprintf: write the format and the list of values as literals"),
    ('sprintf("%v", a)', "write the format and the list of values as literals"),
    ('sprintf("%d", [a])', "engines differ in %d; use %v"),
    ('sprintf("%5v", [a])', "engines differ in %5"),
    ('sprintf("%s", [a])', "engines differ in %s for a value that may be no text; use %v"),
    ('sprintf("%v %v", [a])', "its format takes 2 values and gets 1"),
    ("time.parse_rfc3339_ns(a)", "time.parse_rfc3339_ns: engines differ in what they accept"),
    ('time.parse_rfc3339_ns("2026-12-24")', "write it like"),
    ('time.parse_duration_ns("1d")', "engines differ in '1d'"),
    ('time.clock([input.now, "Local"])', "Local depends on the machine"),
    ("units.parse(a)", "units.parse: engines differ in what they accept"),
    ('units.parse_bytes("1.5MB")', "engines differ in '1.5MB'"),
    ("a + b", "fractional arithmetic differs between engines, inside round() too"),
    ("a * 100 > 5", "whole numbers of the smallest unit (cents)"),
    ("round(a * b)", "fractional arithmetic differs"),
    ("round(100 * (a + b)) > 5000", "fractional arithmetic differs"),
    ("round(2.5 * count(a))", "fractional arithmetic differs"),
    ("round(abs(a) * 2)", "fractional arithmetic differs"),
    ("input.now / 1000", "engines divide differently, inside round() too; multiply the other side"),
    ("round(count(a) / 2)", "engines divide differently"),
    ("round(a) * round(b)", "engines differ beyond 64 bits"),
    ("round(a) * round(b) > round(c)", "compare it with a number that is written out"),
    ("(round(a) * round(b)) * round(c) > 5", "fractional arithmetic differs"),
    ('sprintf("%v", [sum([round(x) | some x in a])])', "engines differ beyond 64 bits"),
    ("round(sum(a))", "sum: engines add fractions differently"),
    ("sum([x.price | some x in a]) > 5", "sum: engines add fractions differently"),
    ("to_number(a)", "use data.killcord.lib.number.parse"),
    ('to_number("1e400")', "use data.killcord.lib.number.parse"),
    ("a > 0.1234567890123456", "differ from the sixteenth digit on"),
    ("a == 19.989999999999998", "differ from the sixteenth digit on"),
    ("floor(a)", "floor may not be used: engines differ between -1 and 0; use round"),
    ('sprintf("%v", [{x | some x in a}])', "engines print an empty set differently"),
    ("[[y | some y in x] | some x in a]", "the embedded engine does not support a comprehension here"),
    ("-b", "the embedded engine does not support negation"),
    ("count(a) - b", "fractional arithmetic differs"),
    ("sum(a) > 5", "sum: engines add fractions differently"),
    ("0.1 + 0.2", "fractional arithmetic differs"),
    ("a % 2", "%: only for counts and integers of the input"),
    ("round(a) % 2", "%: only for counts and integers of the input"),
    ("round((a % 2) * 3)", "%: only for counts and integers of the input"),
    ('[y | {"k": y} := a]', "engines differ in object patterns that omit members"),
    ('[y | {"k": y} = a]', "object pattern"),
    ('[y | some {"k": y} in a]', "object pattern"),
    ('[1 | some {"k": 1} in a]', "object pattern"),
    ('[y | [{"k": y}] := a]', "object pattern"),
    ("a == 123456789012345678901234567890", "whole numbers of up to 64 bits"),
    ("io.jwt.decode(a)", "there is no io.jwt.decode in the embedded engine, only on a real OPA"),
    ("crypto.sha256(a)", "there is no crypto.sha256 in the embedded engine"),
]
