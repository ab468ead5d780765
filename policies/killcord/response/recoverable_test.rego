package killcord.response_test

import data.killcord.response

tool_error(facts) := trigger("recoverable.tool-error", {"facts": object.union({"effect": "read", "attempt": 1, "fallback": false}, facts)})

test_a_read_is_tried_once_more if {
	every more in [{}, {"fallback": true}, {"status": 503}, {"timeout": true}] {
		found := response.response with input as tool_error(more)
		of(found) == ["retry", false, "recoverable"]
	}
}

test_then_its_fallback_is_asked if {
	found := response.response with input as tool_error({"attempt": 2, "fallback": true})
	of(found) == ["fallback", false, "recoverable"]
}

test_without_one_the_agent_is_told if {
	found := response.response with input as tool_error({"attempt": 2})
	of(found) == ["none", false, "recoverable"]
}

test_a_write_is_never_repeated_by_the_gateway if {
	every more in [{}, {"attempt": 2}, {"fallback": true}, {"attempt": 2, "fallback": true}] {
		found := response.response with input as tool_error(object.union(more, {"effect": "write"}))
		of(found) == ["none", false, "recoverable"]
	}
}

test_what_is_not_said_to_be_a_read_is_not_repeated_either if {
	found := response.response with input as trigger("recoverable.tool-error", {"facts": {"attempt": 1, "fallback": true}})
	of(found) == ["none", false, "recoverable"]
}
