package killcord.invariants_test

import data.killcord.invariants

asked := {
	"run": {"run_id": "run_1", "tenant": "acme", "mode": "quarantined"},
	"objects": [
		{"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme", "exists": true, "version": "12", "state": {"status": "open"}},
		{"system": "erp", "type": "invoice", "id": "inv_2", "tenant": "acme", "exists": false},
	],
	"plan": {"nodes": []},
}

test_nothing_is_violated_to_begin_with if {
	invariants.violations == set() with input as asked
	invariants.violations == set() with input as {}
}
