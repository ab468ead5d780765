package killcord.authz

# METADATA
# title: Containment modes
# description: |
#   The gateway stops a contained run's writes before it asks policy. This rule repeats the check, so that no change of the
#   line's order can let a write pass.
denials contains {
	"code": "mode",
	"message": "The run is contained and may not write; leave the rest of the work to a person.",
} if {
	not input.run.mode == "active"
	not input.action.effect == "read"
}
