package killcord.response

# METADATA
# title: Postconditions
# description: A write that did not have its declared effect leaves an unplanned state.
responses["verify.postcondition-failed"] := undo("quarantine", "A write's declared postcondition was not met.")

# METADATA
# title: Findings
# description: A verifier, or a rule engine, has proof that the run's state is unsafe. Only critical findings are rolled back.
responses["verify.finding"] := undo("quarantine", "A verifier reported that the state is unsafe (critical).") if {
	input.trigger.severity == "critical"
}

responses["verify.finding"] := contain("read_only", "A verifier reported a defect of the state.") if {
	not input.trigger.severity == "critical"
}
