-- One row a checkpoint that somebody took; it never changes.
CREATE TABLE checkpoints (
  checkpoint_id TEXT PRIMARY KEY,
  run_id        TEXT NOT NULL,
  document      BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX checkpoints_by_run ON checkpoints (run_id, checkpoint_id);
