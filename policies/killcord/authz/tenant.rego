package killcord.authz

# METADATA
# title: Tenant boundary
# description: |
#   A run works for one tenant. A call aimed at another is denied under a code of its own, which the gateway turns
#   into the problem `tenant-boundary` and a trigger.
denials contains {
	"code": "tenant-boundary",
	"message": "The target belongs to another tenant than the run's; work on objects of the run's own tenant.",
} if {
	not input.target.tenant == input.run.tenant
	input.target.tenant
}

# METADATA
# title: Unlisted writes
# description: |
#   A write that no action of the adapter describes names no tenant, so the boundary cannot be checked. Where the
#   adapter lets such writes pass at all, a scope has to name them: `erp:unlisted.write`; `erp:*` is not enough.
denials contains {
	"code": "unlisted",
	"message": sprintf("%s is granted only by a scope that says so in full; use one of the tool's declared actions.", [call]),
} if {
	input.action.name == "unlisted.write"
	not input.target.tenant
	not call in input.lease.scopes
}
