package killcord.lib.number_test

import data.killcord.lib.number

test_plain_numbers_are_read if {
	number.parse("100") == 100
	number.parse("-0.5") == -0.5
	number.parse("12.345") == 12.345
	number.parse("1e3") == 1000
	number.parse(7) == 7
}
