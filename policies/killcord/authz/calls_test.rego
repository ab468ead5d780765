# The calls that the tests of this package are about.
package killcord.authz_test

write := {
	"lease": {"scopes": ["erp:invoice.*", "crm:contact.read"], "generation": 1, "expires_at": 1790003600000000000},
	"run": {
		"run_id": "run_1",
		"workflow_id": "run_1",
		"tenant": "acme",
		"agent_id": "billing",
		"task_class": "default",
		"mode": "active",
		"opened_at": 1790000000000000000,
	},
	"agent": {"id": "billing"},
	"tenant": "acme",
	"step": {"id": "auto-1"},
	"tool": "erp",
	"action": {"name": "invoice.status.update", "effect": "write", "class": "reversible", "fanout": false},
	"target": {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme"},
	"args": {"data": {"status": "paid"}},
	"http": {"method": "PATCH", "path": "/buckets/acme/collections/invoices/records/inv_1", "query": {}},
	"counters": {"steps": 1},
	"now": 1790000001000000000,
}

read := object.union(json.remove(write, ["action/class"]), {
	"action": {"name": "invoice.read", "effect": "read"},
	"args": null,
})

unlisted_write := object.union(json.remove(write, ["action/class", "target/tenant"]), {"action": {"name": "unlisted.write"}})

codes(decision) := {reason.code | some reason in decision.reasons}
