# METADATA
# title: Invariants
# description: |
#   The gateway asks this after an incident's effects were rolled back, and after a partial failure: is the state of the objects
#   correct? There are no invariants by default: what has to be true depends on your business. Add a file to this package with
#   a rule `violations contains {"code": ..., "message": ...} if {...}`.
package killcord.invariants

violations contains violation if some violation in []
