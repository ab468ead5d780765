package killcord.response_test

import data.killcord.response

test_a_limit_takes_writing_away if {
	found := response.response with input as trigger("blast.limit", {"facts": {"limits": ["run:run_1 records"]}})
	of(found) == ["read_only", false, "containment"]
}

test_a_run_that_spreads_fast_is_quarantined_and_undone if {
	found := response.response with input as trigger("blast.rate", {"count": 50, "threshold": 50})
	of(found) == ["quarantine", true, "containment"]
}
