"""Bundles to hold both engines to: the starter bundle, with the documentation's examples, and as an author might continue from there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.support.policies import POLICIES, ROOT, written

AUTHORED = """package killcord.authz

import data.killcord.lib.number
import data.killcord.lib.wildcard

max_name := 40

email := `^[a-z0-9._-]{1,64}@[a-z0-9-]+(\\.[a-z0-9-]+)+$`

freeze := {"from": time.parse_rfc3339_ns("2026-12-23T00:00:00Z"), "to": time.parse_rfc3339_ns("2026-12-27T00:00:00Z")}

denials contains {"code": "name", "message": sprintf("A name has %v characters at most, not %v.", [max_name, count(name)])} if {
	name := input.args.name
	is_string(name)
	count(name) > max_name
}

denials contains {"code": "recipient", "message": sprintf("Mail of the kind %s goes out by hand.", [type_name(address)])} if {
	some address in input.args.to
	not in_house(address)
}

in_house(address) if {
	is_string(address)
	regex.match(email, lower(address))
	endswith(lower(address), "@example.com")
}

denials contains {"code": "total", "message": "The items come to more than 1000."} if {
	sum([round(item.price) | some item in input.args.items; is_number(item.price)]) > 100000
}

denials contains {"code": "fields", "message": concat(", ", sort(unknown))} if {
	is_object(input.args.fields)
	unknown := object.keys(input.args.fields) - {"title", "body", "état", "𝒳"}
	count(unknown) > 0
}

denials contains {"code": "path", "message": sprintf("%s is not for agents.", [input.http.path])} if {
	some part in split(input.http.path, "/")
	part in {"admin", "internal"}
}

denials contains {"code": "secret", "message": "Secrets are handed over by a person."} if {
	walk(input.args, [path, _])
	some step in path
	is_string(step)
	contains(lower(step), "secret")
}

denials contains {"code": "freeze", "message": "Nothing is changed over the holidays."} if {
	input.action.effect == "write"
	input.now >= freeze.from
	input.now < freeze.to
}

denials contains {"code": "night", "message": "Berlin sleeps."} if {
	[hour, minute, _] := time.clock([input.now, "Europe/Berlin"])
	(hour * 60) + minute < 330
}

denials contains {"code": "age", "message": "The run is older than a day."} if {
	input.now - input.run.opened_at > (24 * 3600) * 1000000000
}

denials contains {"code": "budget", "message": "The run has refunded enough."} if {
	object.get(input.counters, "amount:refund", 0) > 500 * 1000000
}

denials contains {"code": "labels", "message": "Every label begins with a letter."} if {
	labels := object.get(input.args, "labels", [])
	not all_begin_with_a_letter(labels)
}

all_begin_with_a_letter(labels) if {
	every label in labels {
		is_string(label)
		regex.match(`^[A-Za-zé]`, trim_space(label))
	}
}

denials contains {"code": "ticket", "message": "Name the ticket: ABC-123."} if {
	input.action.name == "ticket.close"
	not wildcard.matches("ABC-*", object.get(input.args, "ticket", ""))
}

approvals contains sprintf("%v of %v items are new.", [count(new), count(input.args.items)]) if {
	new := {item.id | some item in input.args.items; not item.id in object.get(input.args, "known", [])}
	count(new) > 2
}

approvals contains sprintf("It is the %v. step of this run.", [input.counters.steps]) if {
	input.counters.steps % 100 == 0
	input.counters.steps > 0
}

approvals contains "The quantity is not a plain number." if {
	is_string(input.args.quantity)
	number.parse(input.args.quantity) > 10
}

approvals contains level if {
	level := risk(input.args.amount)
	level != "none"
}

risk(amount) := "high" if {
	amount > 1000
} else := "medium" if {
	amount > 100
} else := "none"
"""


def starter(folder: Path) -> Path:
    return Path(shutil.copytree(POLICIES / "killcord", folder / "policies" / "killcord")).parent


def documented(folder: Path) -> Path:
    """The starter bundle with every example of docs/policies.md."""
    rules = {name: text for name, text in examples().items() if not name.endswith("_test.rego")}
    assert len(rules) >= 7
    return written(starter(folder), rules)


def examples() -> dict[str, str]:
    """The files that docs/policies.md shows, by their place in a bundle; a title without one of the other packages' folders is authz's."""
    page = (ROOT / "docs" / "policies.md").read_text()
    shown = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)
    return {f"killcord/{name if name.startswith(_OTHERS) else f'authz/{name}'}": text for name, text in shown}


_OTHERS = ("response/", "recovery/", "invariants/")


def authored(folder: Path) -> Path:
    """All of that, with rules that use what built-ins there are."""
    return written(documented(folder), {"killcord/authz/authored.rego": AUTHORED})
