# METADATA
# title: Numbers in texts
# description: |
#   The number that a text says, for the fields of forms. Engines read other texts differently, and numbers of more than 15 digits: on
#   such a text the rule fails, and the call is denied.
package killcord.lib.number

parse(value) := value if {
	is_number(value)
} else := to_number(value) if {
	is_string(value)
	regex.match(`^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,3})?([eE]-?[0-9])?$`, value)
} else := to_number(sprintf("%v is not a plain number", [type_name(value)]))
