package killcord.authz

import data.killcord.lib.wildcard

call := concat(":", [input.tool, input.action.name])

# METADATA
# title: Scopes
# description: |
#   A call needs a scope of its lease, `<tool>:<action pattern>`, that matches it. This is the only rule that grants.
granted if {
	some scope in input.lease.scopes
	wildcard.matches(scope, call)
}

denials contains {
	"code": "scope",
	"message": sprintf("The lease has no scope for %s; use an action within its scopes, or ask the orchestrator for another run.", [call]),
} if {
	not granted
}

# METADATA
# title: Tools
# description: If the run was opened with a list of tools, the tool has to be on it.
denials contains {
	"code": "tool",
	"message": sprintf("The run may not use the tool %s; use one of the tools on its list.", [input.tool]),
} if {
	input.lease.tools
	not input.tool in input.lease.tools
}
