# The compensations that the tests of this package are about.
package killcord.recovery_test

asked := {
	"node": {
		"entry": "node/1",
		"tool": "erp",
		"action": "invoice.status.update",
		"target": {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme"},
		"class": "reversible",
		"remedy": "restore_previous_version",
		"by": "invoice.replace",
		"auto": true,
		"state": "standing",
		"at": 1790000000000000000,
		"writes": 1,
		"allowed_until": 1790000900000000000,
	},
	"run": {
		"run_id": "run_1",
		"workflow_id": "run_1",
		"tenant": "acme",
		"agent_id": "billing",
		"task_class": "default",
		"mode": "quarantined",
		"generation": 1,
		"opened_at": 1790000000000000000,
	},
	"now": 1790000001000000000,
}

node(changes) := object.union(asked, {"node": changes})
