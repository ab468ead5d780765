package killcord.response

# METADATA
# title: Loops
# description: The same action on the same target with the same content, under any key; reads do no harm.
responses["anomaly.loop"] := contain("read_only", why) if {
	why := sprintf("The agent sent the same call %v times.", [input.trigger.count])
}

# METADATA
# title: Retry spikes
# description: Repeats or failures come faster than a tool recovers; a pause gives it time.
responses["anomaly.retry-spike"] := contain("pause", why) if {
	why := sprintf("Calls were repeated or failed %v times in a short time.", [input.trigger.count])
}

# METADATA
# title: Volume
# description: The run is near a limit that was set for its whole task.
responses["anomaly.step-count"] := contain("read_only", why) if {
	why := sprintf("The run has taken %v steps, near its limit.", [input.trigger.count])
}

responses["anomaly.mutation-volume"] := contain("read_only", why) if {
	why := sprintf("The run made %v writes in a short time.", [input.trigger.count])
}
