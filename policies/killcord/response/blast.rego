package killcord.response

# METADATA
# title: Limits
# description: The call was refused already; what is left is reading.
responses["blast.limit"] := contain("read_only", "A limit of the run was reached.")

# METADATA
# title: Rate of spread
# description: Half of what the whole task may touch, within a minute, is no task.
responses["blast.rate"] := undo("quarantine", why) if {
	why := sprintf("The run reached %v records, tenants or systems in short order.", [input.trigger.count])
}
