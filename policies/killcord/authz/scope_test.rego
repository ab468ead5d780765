package killcord.authz_test

import data.killcord.authz

scoped(scopes) := object.union(write, {"lease": {"scopes": scopes}})

test_a_scope_matches_the_action_in_full if {
	authz.granted with input as scoped(["erp:invoice.status.update"])
}

test_a_star_matches_dots if {
	authz.granted with input as scoped(["erp:invoice.*"])
	authz.granted with input as scoped(["erp:*"])
	authz.granted with input as scoped(["*"])
	authz.granted with input as scoped(["erp:*.update"])
}

test_a_scope_of_another_tool_grants_nothing if {
	not authz.granted with input as scoped(["crm:*"])
}

test_a_prefix_without_star_grants_nothing if {
	not authz.granted with input as scoped(["erp:invoice"])
}

test_no_scopes_grant_nothing if {
	decision := authz.decision with input as scoped([])
	codes(decision) == {"scope"}
}

test_missing_scopes_grant_nothing if {
	not authz.decision.allow with input as json.remove(write, ["lease/scopes"])
}

test_a_listed_tool_is_allowed if {
	authz.decision.allow with input as object.union(write, {"lease": {"tools": ["crm", "erp"]}})
}

test_an_unlisted_tool_is_denied_in_spite_of_its_scope if {
	decision := authz.decision with input as object.union(write, {"lease": {"tools": ["crm"]}})
	codes(decision) == {"tool"}
}

test_an_empty_list_of_tools_denies_every_tool if {
	decision := authz.decision with input as object.union(write, {"lease": {"tools": []}})
	codes(decision) == {"tool"}
}
