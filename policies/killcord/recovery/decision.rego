# METADATA
# title: Recovery
# description: |
#   The gateway asks this before every compensation of a rollback: may it proceed, or is it a person's task? It can only
#   block a compensation; containment and the rollback continue. To block more, add a file to this package with a rule
#   `tasks contains "why" if {...}`.
package killcord.recovery

decision := {"proceed": true} if count(tasks) == 0

decision := {"proceed": false, "why": concat(" ", sort(tasks))} if count(tasks) > 0
