# METADATA
# title: Wildcards
# description: |
#   `*` stands for any characters, none included, dots, colons and line ends too; every other character stands for
#   itself. Not `glob.match`, which reads `?`, `[` and `{` as signs of its own and takes three times as long.
package killcord.lib.wildcard

matches(pattern, text) if {
	pieces := split(pattern, "*")
	startswith(text, pieces[0])
	continues(count(pieces), pieces, text)
}

continues(1, pieces, text) if pieces[0] == text

continues(2, pieces, text) if {
	endswith(text, pieces[1])

	# The two ends may not share characters: `ab*ba` does not match `aba`.
	count(text) >= count(pieces[0]) + count(pieces[1])
}

continues(number, pieces, text) if {
	number > 2
	literals := [regex.replace(piece, `[\\.+*?()|\[\]{}^$]`, `\$0`) | some piece in pieces]
	regex.match(sprintf("^(?s:%s)$", [concat(".*", literals)]), text)
}
