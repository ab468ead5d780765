package killcord.authz

# METADATA
# title: Containment modes
# description: |
#   The gateway stops a contained run's writes before it asks policy. Said once more here, so that no change to the
#   order of the line can let one through.
denials contains {
	"code": "mode",
	"message": "The run is contained and may not write; hand what is left to a person.",
} if {
	not input.run.mode == "active"
	not input.action.effect == "read"
}
