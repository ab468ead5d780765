package killcord.recovery

# METADATA
# title: Other tenants
# description: A rollback works for the run's tenant. A person of the other tenant decides about what the run changed there.
tasks contains "The object belongs to another tenant than the run's." if {
	input.node.target.tenant
	not input.node.target.tenant == input.run.tenant
}

# METADATA
# title: Unknown outcomes
# description: A write that may never have happened cannot be compensated by its opposite.
tasks contains "Whether the write was applied is unknown." if {
	not input.node.state == "standing"
}

# METADATA
# title: Deadlines
# description: The period in which the tool allows the compensation has ended.
tasks contains "The deadline for its compensation has passed." if input.now > input.node.allowed_until
