package killcord.authz_test

import data.killcord.authz

test_a_granted_write_is_allowed_without_conditions if {
	authz.decision == {"allow": true, "reasons": [], "obligations": {}} with input as write
}

test_a_granted_read_is_allowed if {
	authz.decision.allow with input as read
}

test_reasons_come_sorted_by_code if {
	call := object.union(write, {"tool": "crm", "run": {"mode": "paused"}, "target": {"tenant": "globex"}})
	decision := authz.decision with input as call
	[reason.code | some reason in decision.reasons] == ["mode", "scope", "tenant-boundary"]
}

test_a_denial_outweighs_a_grant if {
	not authz.decision.allow with input as object.union(write, {"target": {"tenant": "globex"}})
}

test_an_empty_input_is_not_allowed if {
	authz.decision.allow == false with input as {}
}

test_every_reason_has_code_and_message if {
	decision := authz.decision with input as object.union(write, {"tool": "crm"})
	every reason in decision.reasons {
		object.keys(reason) == {"code", "message"}
	}
}
