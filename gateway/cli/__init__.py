"""The command line. Commands about a running gateway use its control API, by the SDK's blocking client."""
