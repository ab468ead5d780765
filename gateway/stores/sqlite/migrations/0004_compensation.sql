-- What a rollback needs to know of a write, and the rollbacks themselves: the newest entry of each.
ALTER TABLE writes ADD COLUMN parent_step TEXT;              -- the causal parent that the agent named
ALTER TABLE writes ADD COLUMN method TEXT NOT NULL DEFAULT '';
ALTER TABLE writes ADD COLUMN existed INTEGER;               -- whether the target was there before; absent where nobody looked
ALTER TABLE writes ADD COLUMN compensates TEXT;              -- a JSON list of wire keys, for a compensation
CREATE INDEX writes_by_rollback ON writes (rollback_id, step_id) WHERE rollback_id IS NOT NULL;

CREATE TABLE rollbacks (
  rollback_id TEXT PRIMARY KEY,
  run_id      TEXT NOT NULL,
  document    BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX rollbacks_by_run ON rollbacks (run_id);
