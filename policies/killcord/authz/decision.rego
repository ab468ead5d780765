# METADATA
# title: Authorisation
# description: |
#   The gateway asks this decision on every call. A call is allowed if a scope of its lease grants it and nothing denies it.
#   To forbid more, add a file to this package with a rule `denials contains {"code": ..., "message": ...} if {...}`;
#   to require a person's approval, add one with `approvals contains "why" if {...}`. Nothing else has to change.
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

# After an approval the gateway asks the same rules again; only the obligation is gone.
obligations["approval"] := {"why": concat(" ", sort(approvals))} if {
	count(approvals) > 0
	not input.approval.granted == true
}
