package killcord.response

# METADATA
# title: Limits
# description: The limit has already refused the call; the run may still read.
responses["blast.limit"] := contain("read_only", "A limit of the run was reached.")

# METADATA
# title: Rate of spread
# description: A run that uses half of its task's limits within a minute is out of control.
responses["blast.rate"] := undo("quarantine", why) if {
	why := sprintf("The run reached %v records, tenants or systems in a short time.", [input.trigger.count])
}
