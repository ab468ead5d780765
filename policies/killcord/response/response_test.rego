package killcord.response_test

import data.killcord.response

names := [
	"policy.tenant-boundary",
	"policy.out-of-scope",
	"policy.denied",
	"verify.postcondition-failed",
	"verify.finding",
	"anomaly.loop",
	"anomaly.retry-spike",
	"anomaly.step-count",
	"anomaly.mutation-volume",
	"uncertain.low-confidence",
	"uncertain.schema-drift",
	"uncertain.partial-failure",
	"uncertain.outcome-unknown",
	"uncertain.identity",
	"blast.limit",
	"blast.rate",
	"recoverable.tool-error",
]

test_every_trigger_has_a_whole_response if {
	every name in names {
		found := response.response with input as trigger(name, {})
		object.keys(found) == {"action", "rollback", "verdict", "why"}
	}
}

test_a_name_that_nobody_knows_has_none if {
	every name in ["policy.deny", "", "override", null, 1, ["policy.denied"]] {
		not response.response with input as trigger(name, {})
	}
}

test_what_goes_on_is_recoverable_and_what_is_held_is_not if {
	every name in names {
		found := response.response with input as trigger(name, {})
		found.verdict == verdicts[found.action]
	}
}

verdicts := {
	"none": "recoverable",
	"retry": "recoverable",
	"fallback": "recoverable",
	"no_fanout": "containment",
	"read_only": "containment",
	"pause": "containment",
	"quarantine": "containment",
	"revoke": "containment",
}

test_an_override_comes_before_the_default if {
	other := response.contain("quarantine", "Here it is graver.")
	found := response.response with input as trigger("policy.denied", {}) with response.override as {"policy.denied": other}
	of(found) == ["quarantine", false, "containment"]
}

test_the_override_of_one_trigger_leaves_the_others if {
	other := response.contain("quarantine", "Here it is graver.")
	found := response.response with input as trigger("anomaly.loop", {}) with response.override as {"policy.denied": other}
	of(found) == ["read_only", false, "containment"]
}
