package killcord.authz_test

import data.killcord.authz

test_another_tenants_object_is_out_of_bounds if {
	decision := authz.decision with input as object.union(write, {"target": {"tenant": "globex"}})
	codes(decision) == {"tenant-boundary"}
}

test_another_tenants_object_cannot_be_read_either if {
	decision := authz.decision with input as object.union(read, {"target": {"tenant": "globex"}})
	codes(decision) == {"tenant-boundary"}
}

test_tenants_are_compared_exactly if {
	every other in ["ACME", "acme ", "acm", "acmé", "", null] {
		decision := authz.decision with input as object.union(write, {"target": {"tenant": other}})
		codes(decision) == {"tenant-boundary"}
	}
}

test_a_read_that_names_no_tenant_needs_only_its_scope if {
	call := object.union(json.remove(read, ["target/tenant"]), {
		"action": {"name": "unlisted.read"},
		"lease": {"scopes": ["erp:*"]},
	})
	authz.decision.allow with input as call
}

test_an_unlisted_write_is_not_granted_by_a_star if {
	decision := authz.decision with input as object.union(unlisted_write, {"lease": {"scopes": ["erp:*"]}})
	codes(decision) == {"unlisted"}
}

test_an_unlisted_write_is_granted_by_its_own_name_and_still_held if {
	decision := authz.decision with input as object.union(unlisted_write, {"lease": {"scopes": ["erp:unlisted.write"]}})
	decision.allow
	decision.obligations.approval
}
