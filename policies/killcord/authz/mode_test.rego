package killcord.authz_test

import data.killcord.authz

test_a_contained_run_writes_nothing if {
	every mode in ["read_only", "paused", "quarantined", "revoked", "no such mode"] {
		decision := authz.decision with input as object.union(write, {"run": {"mode": mode}})
		codes(decision) == {"mode"}
	}
}

test_a_run_of_no_mode_writes_nothing if {
	not authz.decision.allow with input as json.remove(write, ["run/mode"])
}

test_a_read_only_run_reads if {
	authz.decision.allow with input as object.union(read, {"run": {"mode": "read_only"}})
}
