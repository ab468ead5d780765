package killcord.authz

# METADATA
# title: Irreversible actions
# description: |
#   What cannot be taken back is approved by a person first. A write of no declared class counts as irreversible.
approvals contains sprintf("%s cannot be undone.", [call]) if {
	not input.action.class == "reversible"
	not input.action.class == "compensatable"
	not input.action.effect == "read"
}
