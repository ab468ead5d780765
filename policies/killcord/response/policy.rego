package killcord.response

# METADATA
# title: Tenant boundary
# description: |
#   A write aimed at another tenant needs an immediate stop; a single read may be an error. Everything that is not marked as a read
#   counts as a write.
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
# description: An agent that writes outside its lease's scopes works on another task than its own; an agent that reads gets a refusal.
responses["policy.out-of-scope"] := contain("read_only", "A write was outside the lease's scopes.") if {
	not input.trigger.effect == "read"
}

responses["policy.out-of-scope"] := recoverable("none", "A read was outside the lease's scopes, and was refused.") if {
	input.trigger.effect == "read"
}

# METADATA
# title: Repeated denials
# description: An agent that ignores refusals stops until a person has checked it.
responses["policy.denied"] := contain("pause", why) if {
	why := sprintf("Policy refused the run %v times.", [input.trigger.count])
}
