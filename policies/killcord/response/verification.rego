package killcord.response

# METADATA
# title: Postconditions
# description: A write that did not do what it was declared to do leaves a state that nobody planned.
responses["verify.postcondition-failed"] := undo("quarantine", "A write's declared postcondition was not met.")

# METADATA
# title: Findings
# description: A verifier, or a rule engine, has proof that the run's state is unsafe. Only what it calls critical is undone.
responses["verify.finding"] := undo("quarantine", "A verifier found the state unsafe: critical.") if {
	input.trigger.severity == "critical"
}

responses["verify.finding"] := contain("read_only", "A verifier found something wrong with the state.") if {
	not input.trigger.severity == "critical"
}
