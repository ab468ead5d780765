package killcord.response

# METADATA
# title: Low confidence
# description: One uncertain call is acceptable; an agent that continues to act while uncertain is not.
responses["uncertain.low-confidence"] := recoverable("none", "The agent reported low confidence for a call.") if not repeated

responses["uncertain.low-confidence"] := contain("read_only", why) if {
	repeated
	why := sprintf("The agent reported low confidence for %v calls.", [input.trigger.count])
}

# METADATA
# title: Schema drift
# description: A tool whose replies differ from its declaration may act differently, too.
responses["uncertain.schema-drift"] := contain("read_only", "A tool's reply or definition differs from its declaration.")

# METADATA
# title: Partial failure
# description: Some writes that belong together succeeded, others failed. They are rolled back if the state violates an invariant; otherwise a person decides.
responses["uncertain.partial-failure"] := undo("read_only", "Some of the writes that belong together failed, and invariants are violated.") if {
	violated
}

responses["uncertain.partial-failure"] := contain("read_only", "Some of the writes that belong together failed.") if not violated

violated if input.violations[_]

# METADATA
# title: Unknown outcomes
# description: It is unknown what the tool did; more writes would make it harder to find out.
responses["uncertain.outcome-unknown"] := contain("read_only", why) if {
	why := sprintf("The outcome of %v writes is unknown.", [input.trigger.count])
}

# METADATA
# title: Identity
# description: A reply names several objects, or another one, than the target. A wrong object was changed, or would be next.
responses["uncertain.identity"] := undo("quarantine", "A target was not exactly the one object that it names.")
