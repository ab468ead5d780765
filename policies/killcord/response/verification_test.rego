package killcord.response_test

import data.killcord.response

test_a_postcondition_that_is_not_met_is_quarantined_and_undone if {
	found := response.response with input as trigger("verify.postcondition-failed", {})
	of(found) == ["quarantine", true, "containment"]
}

test_a_critical_finding_is_quarantined_and_undone if {
	found := response.response with input as trigger("verify.finding", {"severity": "critical"})
	of(found) == ["quarantine", true, "containment"]
}

test_another_finding_takes_writing_away if {
	every severity in ["warning", "low", "CRITICAL", ""] {
		found := response.response with input as trigger("verify.finding", {"severity": severity})
		of(found) == ["read_only", false, "containment"]
	}
}
