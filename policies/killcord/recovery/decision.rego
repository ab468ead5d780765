# METADATA
# title: Recovery
# description: |
#   What the gateway asks before every compensation of a rollback: may it proceed, or is it a person's task? It can only
#   hold one back; containment and the rollback itself go on. To hold more back, add a file to this package with a rule
#   `tasks contains "why" if {...}`.
package killcord.recovery

decision := {"proceed": true} if count(tasks) == 0

decision := {"proceed": false, "why": concat(" ", sort(tasks))} if count(tasks) > 0
