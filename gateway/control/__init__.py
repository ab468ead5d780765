"""Everything beside the line: it reads the journal and acts by changing what the line will allow next."""
