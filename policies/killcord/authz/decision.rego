# METADATA
# title: Authorisation
# description: |
#   What the gateway asks on every call. A call is allowed when a scope of its lease grants it and nothing denies it.
#   To forbid more, add a file to this package with a rule `denials contains {"code": ..., "message": ...} if {...}`;
#   to have a person asked first, one with `approvals contains "why" if {...}`. Nothing else has to change.
package killcord.authz

decision := {
	"allow": allow,
	"reasons": sort(denials),
	"obligations": obligations,
}

default allow := false

allow if {
	granted
	count(denials) == 0
}

# When a person has said yes, the same rules are asked again; only the demand for that yes is gone.
obligations["approval"] := {"why": concat(" ", sort(approvals))} if {
	count(approvals) > 0
	not input.approval.granted == true
}
