# METADATA
# title: Responses
# description: |
#   The gateway asks this about every trigger: the response, and whether the workflow is still recoverable. No answer,
#   or an unusable one, means quarantine. To change the response to a trigger, leave these files as they are and add a file to
#   this package with a rule `override["trigger.name"] := contain("pause", "why") if {...}`. Without an override
#   that holds, `responses` has the answer.
package killcord.response

response := answer if {
	answer := override[input.trigger.name]
} else := answer if {
	answer := responses[input.trigger.name]
}

# Empty by default. The rule must exist before other rules refer to it, also while OPA loads the files one by one.
override[name] := answer if some name, answer in {}

responses[name] := answer if some name, answer in {}

# METADATA
# title: Recoverable
# description: The workflow is recoverable. `action` can be none, retry or fallback.
recoverable(action, why) := {"action": action, "rollback": false, "verdict": "recoverable", "why": why}

# METADATA
# title: Contain
# description: An order contains the run. `action` is no_fanout, read_only, pause, quarantine or revoke.
contain(action, why) := {"action": action, "rollback": false, "verdict": "containment", "why": why}

# METADATA
# title: Contain and roll back
# description: As `contain`, and the effects since the run's last checkpoint are rolled back. Not with no_fanout, under which the run continues.
undo(action, why) := {"action": action, "rollback": true, "verdict": "containment", "why": why}

# METADATA
# title: Threshold
# description: The trigger reached its threshold; some triggers also fire on the first occurrence.
repeated if input.trigger.count >= input.trigger.threshold
