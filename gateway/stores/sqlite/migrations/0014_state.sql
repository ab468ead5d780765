-- On the last entry of each commit: a MAC that binds the projections to it (state_digest.py). NULL on all others and before this version.
ALTER TABLE entries ADD COLUMN state BLOB;
