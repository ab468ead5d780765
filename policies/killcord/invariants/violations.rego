# METADATA
# title: Invariants
# description: |
#   What the gateway asks once an incident's effects were taken back, and of a partial failure: is the state of the objects
#   sound? None is violated to begin with: what has to be true is a matter of the business. Add a file to this package with
#   a rule `violations contains {"code": ..., "message": ...} if {...}`.
package killcord.invariants

violations contains violation if some violation in []
