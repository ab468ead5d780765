package killcord.lib.wildcard_test

import data.killcord.lib.wildcard

test_a_pattern_without_star_matches_itself_alone if {
	wildcard.matches("a.b", "a.b")
	not wildcard.matches("a.b", "a.bc")
	not wildcard.matches("a.b", "aXb")
}

test_a_star_stands_for_any_characters_and_for_none if {
	every text in ["ab", "a.b", "a:é\n*b"] {
		wildcard.matches("a*b", text)
	}
}

test_the_two_ends_share_no_characters if {
	not wildcard.matches("ab*ba", "aba")
	wildcard.matches("ab*ba", "abba")
}

test_pieces_between_stars_come_in_order if {
	wildcard.matches("*a*b*", "xaybz")
	not wildcard.matches("*a*b*", "xbyaz")
	not wildcard.matches("*a*a*", "xay")
}

test_signs_of_other_pattern_languages_stand_for_themselves if {
	every sign in ["?", "[a]", "{a,b}", ".", "+", "(", ")", "|", "^", "$", `\`, "[", "]"] {
		wildcard.matches(concat("", ["*", sign, "*"]), concat("", ["x", sign, "y"]))
		not wildcard.matches(concat("", ["*", sign, "*"]), "xy")
	}
}
