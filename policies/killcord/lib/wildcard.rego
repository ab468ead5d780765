# METADATA
# title: Wildcards
# description: |
#   `*` matches any number of characters, including dots, colons and line ends; every other character matches
#   itself. `glob.match` is not used: it interprets `?`, `[` and `{`, and takes three times as long.
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

# Nearly every pattern is a prefix and one star, or has no star: both need no regular expression.
begins(prefix, pattern, text) if {
	prefix == pattern
	text == pattern
} else if {
	prefix != pattern
	startswith(text, prefix)
}
