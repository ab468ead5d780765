# METADATA
# title: Responses
# description: |
#   What the gateway asks about every trigger: what follows, and whether this is still a recoverable workflow. No answer,
#   or one that cannot be used, is quarantine. To answer a trigger otherwise, leave these files as they are and add one to
#   this package with a rule `override["trigger.name"] := contain("pause", "why") if {...}`; where there is none, or none
#   that holds, it is `responses` that has the answer.
package killcord.response

response := answer if {
	answer := override[input.trigger.name]
} else := answer if {
	answer := responses[input.trigger.name]
}

# None to begin with; but a rule has to be there before it can be looked at, also while the files are loaded one by one.
override[name] := answer if some name, answer in {}

responses[name] := answer if some name, answer in {}

# METADATA
# title: Go on
# description: The workflow is recoverable. `action` is none, retry or fallback.
recoverable(action, why) := {"action": action, "rollback": false, "verdict": "recoverable", "why": why}

# METADATA
# title: Contain
# description: An order holds the run. `action` is no_fanout, read_only, pause, quarantine or revoke.
contain(action, why) := {"action": action, "rollback": false, "verdict": "containment", "why": why}

# METADATA
# title: Contain and take back
# description: As `contain`, and what the run did since its last checkpoint is undone. Not with no_fanout, which lets it go on.
undo(action, why) := {"action": action, "rollback": true, "verdict": "containment", "why": why}

# METADATA
# title: Often enough
# description: The trigger's threshold was reached; of some the first time is told as well.
repeated if input.trigger.count >= input.trigger.threshold
