package killcord.recovery

# METADATA
# title: Other tenants
# description: A rollback works for the run's tenant. What the run changed elsewhere is shown to a person of that tenant first.
tasks contains "The object belongs to another tenant than the run's." if {
	input.node.target.tenant
	not input.node.target.tenant == input.run.tenant
}

# METADATA
# title: Unknown outcomes
# description: What may never have been done cannot be taken back by doing the opposite.
tasks contains "Whether the write was applied is unknown." if {
	not input.node.state == "standing"
}

# METADATA
# title: Deadlines
# description: The time in which the tool lets the effect be taken back is over.
tasks contains "The time in which it could be taken back is over." if input.now > input.node.allowed_until
