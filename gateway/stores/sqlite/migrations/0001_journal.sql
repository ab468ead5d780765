-- The truth: entries, the heads signed over them, and what they refer to. Nothing here can be had from elsewhere.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE entries (
  seq    INTEGER PRIMARY KEY,
  kind   TEXT NOT NULL,
  run_id TEXT,
  tenant TEXT,
  line   BLOB NOT NULL -- canonical JSON, as exported
);
-- Each index ends in the rowid, so each reads ascending by seq.
CREATE INDEX entries_by_run ON entries (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX entries_by_tenant ON entries (tenant) WHERE tenant IS NOT NULL;
CREATE INDEX entries_by_kind ON entries (kind);

CREATE TABLE heads (
  stream TEXT PRIMARY KEY,
  seq    INTEGER NOT NULL,
  hash   TEXT NOT NULL,
  ts     TEXT NOT NULL,
  note   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE blobs (
  ref    TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  data   BLOB NOT NULL
);

CREATE TABLE tenant_keys (
  tenant  TEXT PRIMARY KEY,
  wrapped BLOB NOT NULL
) WITHOUT ROWID;

-- Written and emptied again to find out whether the disk takes writes.
CREATE TABLE probe (room BLOB NOT NULL);
