package killcord.response_test

import data.killcord.response

test_a_write_to_another_tenant_is_revoked_and_undone if {
	found := response.response with input as trigger("policy.tenant-boundary", {"effect": "write"})
	of(found) == ["revoke", true, "containment"]
}

test_what_is_not_said_to_be_a_read_counts_as_a_write if {
	found := response.response with input as trigger("policy.tenant-boundary", {})
	of(found) == ["revoke", true, "containment"]
}

test_a_read_of_another_tenant_is_told if {
	found := response.response with input as trigger("policy.tenant-boundary", {"effect": "read", "count": 1, "threshold": 2})
	of(found) == ["none", false, "recoverable"]
}

test_repeated_reads_of_another_tenant_are_quarantined if {
	every count in [2, 3] {
		found := response.response with input as trigger("policy.tenant-boundary", {"effect": "read", "count": count, "threshold": 2})
		of(found) == ["quarantine", false, "containment"]
	}
}

test_a_write_out_of_scope_takes_writing_away if {
	found := response.response with input as trigger("policy.out-of-scope", {"effect": "write"})
	of(found) == ["read_only", false, "containment"]
}

test_a_read_out_of_scope_is_told if {
	found := response.response with input as trigger("policy.out-of-scope", {"effect": "read"})
	of(found) == ["none", false, "recoverable"]
}

test_denials_pause if {
	found := response.response with input as trigger("policy.denied", {"count": 5, "threshold": 5})
	found == {"action": "pause", "rollback": false, "verdict": "containment", "why": "Policy refused the run 5 times."}
}
