package killcord.recovery_test

import data.killcord.recovery

test_a_compensation_proceeds if {
	recovery.decision == {"proceed": true} with input as asked
}

test_one_that_is_held_back_says_why_in_full if {
	held := recovery.decision with input as node({"state": "unknown", "target": {"tenant": "globex"}})
	held == {
		"proceed": false,
		"why": "The object belongs to another tenant than the run's. Whether the write was applied is unknown.",
	}
}
