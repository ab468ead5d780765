package killcord.response

# METADATA
# title: Low confidence
# description: An agent that says it is not sure has said the right thing; one that keeps acting so has not.
responses["uncertain.low-confidence"] := recoverable("none", "The agent was not sure of a call.") if not repeated

responses["uncertain.low-confidence"] := contain("read_only", why) if {
	repeated
	why := sprintf("The agent was not sure of %v calls.", [input.trigger.count])
}

# METADATA
# title: Schema drift
# description: A tool that answers otherwise than declared may do so too.
responses["uncertain.schema-drift"] := contain("read_only", "A tool's reply or definition is other than declared.")

# METADATA
# title: Partial failure
# description: Some of what belongs together was done. It is undone where the state violates an invariant; else a person decides.
responses["uncertain.partial-failure"] := undo("read_only", "Writes that belong together failed in part, and invariants are violated.") if {
	violated
}

responses["uncertain.partial-failure"] := contain("read_only", "Writes that belong together failed in part.") if not violated

violated if input.violations[_]

# METADATA
# title: Unknown outcomes
# description: Nobody knows what the tool did; more writes would make it harder to find out.
responses["uncertain.outcome-unknown"] := contain("read_only", why) if {
	why := sprintf("The outcome of %v writes is unknown.", [input.trigger.count])
}

# METADATA
# title: Identity
# description: A target is more, or other, than the one object it names. The wrong thing was changed, or would be next.
responses["uncertain.identity"] := undo("quarantine", "A target was more, or other, than the one object it names.")
