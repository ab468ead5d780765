# METADATA
# title: Wildcards
# description: |
#   `*` stands for any characters, none included, dots, colons and line ends too; every other character stands for
#   itself. Not `glob.match`, which reads `?`, `[` and `{` as signs of its own and takes three times as long.
package killcord.lib.wildcard

matches(pattern, text) if {
	prefix := trim_suffix(pattern, "*")
	not contains(prefix, "*")
	begins(prefix, pattern, text)
} else if {
	contains(trim_suffix(pattern, "*"), "*")
	literals := [regex.replace(piece, `[\\.+*?()|\[\]{}^$]`, `\$0`) | some piece in split(pattern, "*")]
	regex.match(sprintf("^(?s:%s)$", [concat(".*", literals)]), text)
}

# Nearly every pattern is a prefix and one star, or no star at all: both are had without a regular expression.
begins(prefix, pattern, text) if {
	prefix == pattern
	text == pattern
} else if {
	prefix != pattern
	startswith(text, prefix)
}
