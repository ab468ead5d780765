package killcord.authz_test

import data.killcord.authz

irreversible := object.union(write, {"action": {"class": "irreversible"}})

test_an_irreversible_write_is_held_for_a_person if {
	decision := authz.decision with input as irreversible
	decision.allow
	decision.obligations == {"approval": {"why": "erp:invoice.status.update cannot be undone."}}
}

test_a_compensatable_write_is_not_held if {
	authz.decision.obligations == {} with input as object.union(write, {"action": {"class": "compensatable"}})
}

test_a_write_of_no_class_is_held if {
	authz.decision.obligations.approval with input as json.remove(write, ["action/class"])
}

test_a_read_is_never_held if {
	authz.decision.obligations == {} with input as read
}

test_an_approved_write_is_let_go if {
	authz.decision.obligations == {} with input as object.union(irreversible, {"approval": {"granted": true}})
}

test_only_true_is_a_yes if {
	every word in [false, "true", 1, null] {
		authz.decision.obligations.approval with input as object.union(irreversible, {"approval": {"granted": word}})
	}
}

test_an_approval_grants_nothing_by_itself if {
	call := object.union(irreversible, {"approval": {"granted": true}, "lease": {"scopes": []}})
	not authz.decision.allow with input as call
}
