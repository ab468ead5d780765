"""The command line: one file to a noun. What is about a running gateway goes through the operators' door, over HTTP."""
