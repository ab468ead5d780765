package killcord.response

# METADATA
# title: Recoverable errors of tools
# description: |
#   A tool that is busy, slow or unavailable. The gateway retries a read once, then sends it to the adapter's fallback if it has one.
#   The agent may repeat a write, under its key: the gateway cannot know whether the agent still wants it.
responses["recoverable.tool-error"] := recoverable("retry", "The tool could not answer a read; the gateway asks it once more.") if {
	is_read
	first
}

responses["recoverable.tool-error"] := recoverable("fallback", "The tool could not answer a read; the gateway asks its fallback.") if {
	is_read
	not first
	input.trigger.facts.fallback == true
}

responses["recoverable.tool-error"] := recoverable("none", "The tool could not answer a read; the agent gets the error.") if {
	is_read
	not first
	not input.trigger.facts.fallback == true
}

responses["recoverable.tool-error"] := recoverable("none", "The tool could not do a write; the agent gets the error.") if not is_read

is_read if input.trigger.facts.effect == "read"

first if input.trigger.facts.attempt == 1
