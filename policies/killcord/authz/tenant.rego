package killcord.authz

# METADATA
# title: Tenant boundary
# description: |
#   A run works for one tenant. A call aimed at another tenant is denied with its own code; the gateway turns it
#   into the problem `tenant-boundary` and a trigger.
denials contains {
	"code": "tenant-boundary",
	"message": "The target belongs to another tenant; use objects of the run's own tenant.",
} if {
	not input.target.tenant == input.run.tenant
	input.target.tenant
}

# METADATA
# title: Unlisted writes
# description: |
#   A write that no action of the adapter describes names no tenant, so the boundary cannot be checked. If the
#   adapter allows such writes, a scope has to name them: `erp:unlisted.write`; `erp:*` is not enough.
denials contains {
	"code": "unlisted",
	"message": sprintf("%s needs a scope that names it in full; use one of the tool's declared actions.", [call]),
} if {
	input.action.name == "unlisted.write"
	not input.target.tenant
	not call in input.lease.scopes
}
