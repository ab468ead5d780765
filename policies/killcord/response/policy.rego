package killcord.response

# METADATA
# title: Tenant boundary
# description: |
#   A write aimed at another tenant is nothing to wait out; a read may happen once. What is not said to be a read counts
#   as a write.
responses["policy.tenant-boundary"] := undo("revoke", "A write was aimed at another tenant.") if {
	not input.trigger.effect == "read"
}

responses["policy.tenant-boundary"] := recoverable("none", "A read was aimed at another tenant, and refused.") if {
	input.trigger.effect == "read"
	not repeated
}

responses["policy.tenant-boundary"] := contain("quarantine", why) if {
	input.trigger.effect == "read"
	repeated
	why := sprintf("Reads were aimed at another tenant %v times.", [input.trigger.count])
}

# METADATA
# title: Out of scope
# description: An agent that writes what its lease does not cover is at another task than its own; one that reads is told.
responses["policy.out-of-scope"] := contain("read_only", "A write lay outside of the lease's scopes.") if {
	not input.trigger.effect == "read"
}

responses["policy.out-of-scope"] := recoverable("none", "A read lay outside of the lease's scopes, and was refused.") if {
	input.trigger.effect == "read"
}

# METADATA
# title: Denied again and again
# description: An agent that does not listen to refusals stops until a person has looked at it.
responses["policy.denied"] := contain("pause", why) if {
	why := sprintf("Policy refused the run %v times.", [input.trigger.count])
}
