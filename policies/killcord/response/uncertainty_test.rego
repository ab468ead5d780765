package killcord.response_test

import data.killcord.response

partial := trigger("uncertain.partial-failure", {})

test_an_agent_that_is_not_sure_once_goes_on if {
	found := response.response with input as trigger("uncertain.low-confidence", {"count": 1, "threshold": 3})
	of(found) == ["none", false, "recoverable"]
}

test_an_agent_that_keeps_acting_unsure_reads_only if {
	found := response.response with input as trigger("uncertain.low-confidence", {"count": 3, "threshold": 3})
	of(found) == ["read_only", false, "containment"]
}

test_drift_and_unknown_outcomes_take_writing_away if {
	every name in ["uncertain.schema-drift", "uncertain.outcome-unknown"] {
		found := response.response with input as trigger(name, {"count": 3, "threshold": 3})
		of(found) == ["read_only", false, "containment"]
	}
}

test_a_partial_failure_takes_writing_away if {
	every asked in [partial, object.union(partial, {"violations": []})] {
		found := response.response with input as asked
		of(found) == ["read_only", false, "containment"]
	}
}

test_a_partial_failure_that_violates_an_invariant_is_undone if {
	violation := {"code": "sum", "message": "The sum is off."}
	found := response.response with input as object.union(partial, {"violations": [violation]})
	of(found) == ["read_only", true, "containment"]
}

test_a_target_of_another_identity_is_quarantined_and_undone if {
	found := response.response with input as trigger("uncertain.identity", {})
	of(found) == ["quarantine", true, "containment"]
}
