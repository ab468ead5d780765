# The triggers that the tests of this package are about.
package killcord.response_test

trigger(name, changes) := {
	"trigger": object.union(
		{
			"name": name,
			"layer": "policy",
			"at": 1790000000000000000,
			"count": 1,
			"threshold": 1,
			"facts": {},
			"evidence": ["node/1"],
		},
		changes,
	),
	"run": {
		"run_id": "run_1",
		"workflow_id": "run_1",
		"tenant": "acme",
		"agent_id": "billing",
		"task_class": "default",
		"mode": "active",
		"generation": 1,
		"opened_at": 1790000000000000000,
	},
	"counters": {"steps": 1},
	"history": [],
}

of(response) := [response.action, response.rollback, response.verdict]
