package killcord.recovery_test

import data.killcord.recovery

test_an_object_of_another_tenant_is_a_task if {
	recovery.tasks == {"The object belongs to another tenant than the run's."} with input as node({"target": {"tenant": "globex"}})
}

test_an_object_that_names_no_tenant_is_none if {
	recovery.tasks == set() with input as json.remove(asked, ["node/target/tenant"])
}

test_an_effect_that_may_not_be_there_is_a_task if {
	every state in ["unknown", "in_flight", "failed", "compensated"] {
		recovery.tasks == {"Whether the write was applied is unknown."} with input as node({"state": state})
	}
}

test_what_comes_too_late_is_a_task if {
	recovery.tasks == {"The deadline for its compensation has passed."} with input as object.union(asked, {"now": 1790000900000000001})
	recovery.tasks == set() with input as object.union(asked, {"now": 1790000900000000000})
}

test_without_a_deadline_nothing_is_too_late if {
	late := object.union(json.remove(asked, ["node/allowed_until"]), {"now": 1890000000000000000})
	recovery.tasks == set() with input as late
}
