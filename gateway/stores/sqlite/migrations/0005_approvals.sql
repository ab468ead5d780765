-- One row an approval: the newest of its entries, and the intent that spent it. A status only goes forward.
CREATE TABLE approvals (
  approval_id TEXT PRIMARY KEY,
  run_id      TEXT NOT NULL,
  generation  INTEGER NOT NULL,
  action      TEXT NOT NULL,
  content     TEXT NOT NULL,
  number      INTEGER NOT NULL,
  status      TEXT NOT NULL, -- as of the newest entry; that time has run out is not told by an entry
  used_at     REAL,
  used_by     TEXT,
  document    BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX approvals_by_call ON approvals (run_id, generation, action, content, number);
