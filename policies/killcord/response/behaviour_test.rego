package killcord.response_test

import data.killcord.response

test_loops_and_volume_take_writing_away if {
	every name in ["anomaly.loop", "anomaly.step-count", "anomaly.mutation-volume"] {
		found := response.response with input as trigger(name, {"count": 80, "threshold": 80})
		of(found) == ["read_only", false, "containment"]
		contains(found.why, "80")
	}
}

test_a_retry_spike_pauses if {
	found := response.response with input as trigger("anomaly.retry-spike", {"count": 20, "threshold": 20})
	of(found) == ["pause", false, "containment"]
}
