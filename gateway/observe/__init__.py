"""What operators see of the gateway from outside: counts, latencies, a log line a call."""
