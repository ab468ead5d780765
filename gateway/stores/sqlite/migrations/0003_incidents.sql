-- One row an incident: the newest of its response entries.
CREATE TABLE incidents (
  incident_id TEXT PRIMARY KEY,
  run_id      TEXT NOT NULL,
  generation  INTEGER NOT NULL,
  cause       TEXT NOT NULL,
  document    BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_by_run ON incidents (run_id, generation, cause);
