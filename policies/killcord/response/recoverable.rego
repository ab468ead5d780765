package killcord.response

# METADATA
# title: Recoverable errors of tools
# description: |
#   A tool that is busy, slow or away. A read is tried once more, then sent to the adapter's fallback where it has one. A
#   write is the agent's to repeat, under its key: the gateway cannot know whether the agent still wants it.
responses["recoverable.tool-error"] := recoverable("retry", "The tool could not answer a read; it is asked once more.") if {
	is_read
	first
}

responses["recoverable.tool-error"] := recoverable("fallback", "The tool could not answer a read; its fallback is asked.") if {
	is_read
	not first
	input.trigger.facts.fallback == true
}

responses["recoverable.tool-error"] := recoverable("none", "The tool could not answer a read; the agent is told so.") if {
	is_read
	not first
	not input.trigger.facts.fallback == true
}

responses["recoverable.tool-error"] := recoverable("none", "The tool could not do a write; the agent is told so.") if not is_read

is_read if input.trigger.facts.effect == "read"

first if input.trigger.facts.attempt == 1
