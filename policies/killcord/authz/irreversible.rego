package killcord.authz

# METADATA
# title: Irreversible actions
# description: |
#   An irreversible write needs a person's approval. A write without a declared class counts as irreversible.
approvals contains sprintf("%s cannot be undone.", [call]) if {
	not input.action.class == "reversible"
	not input.action.class == "compensatable"
	not input.action.effect == "read"
}
