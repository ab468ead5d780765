-- The projections: every row here follows from the entries and can be rebuilt from them.
CREATE TABLE writes (
  seq            INTEGER PRIMARY KEY, -- of the intent
  tenant         TEXT NOT NULL,
  workflow_id    TEXT NOT NULL,
  key_digest     TEXT NOT NULL,
  attempt        INTEGER NOT NULL,
  key_kind       TEXT NOT NULL,
  content        TEXT NOT NULL,
  window_s       REAL NOT NULL,
  wire_key       TEXT NOT NULL,
  state          TEXT NOT NULL,
  run_id         TEXT NOT NULL,
  generation     INTEGER NOT NULL,
  step_id        TEXT NOT NULL,
  tool           TEXT NOT NULL,
  action         TEXT NOT NULL,
  system         TEXT NOT NULL,
  type           TEXT NOT NULL,
  id             TEXT NOT NULL,
  target_tenant  TEXT,
  object         TEXT,                -- absent where the target has no id
  class          TEXT NOT NULL,
  remedy         TEXT NOT NULL,
  automatic      INTEGER NOT NULL,
  allowed_until  REAL,
  at             REAL NOT NULL,
  before_version TEXT,
  snapshot_ref   TEXT,
  args_ref       TEXT,
  rollback_id    TEXT,
  outcome_seq    INTEGER,
  status         INTEGER,
  after_version  TEXT,
  reply_ref      TEXT,
  verification   TEXT NOT NULL DEFAULT 'none'
);
CREATE UNIQUE INDEX writes_by_key ON writes (tenant, workflow_id, key_digest, attempt);
CREATE INDEX writes_by_wire_key ON writes (wire_key);
CREATE INDEX writes_by_run ON writes (run_id);
CREATE INDEX writes_by_object ON writes (workflow_id, object) WHERE object IS NOT NULL;
CREATE INDEX writes_unsettled ON writes (seq) WHERE state IN ('in_flight', 'unknown');

CREATE TABLE sightings (
  scope   TEXT NOT NULL, -- run:<id> or workflow:<id>
  object  TEXT NOT NULL,
  version TEXT,
  seq     INTEGER NOT NULL,
  PRIMARY KEY (scope, object)
) WITHOUT ROWID;

CREATE TABLE counters (
  scope TEXT NOT NULL,
  name  TEXT NOT NULL,
  used  INTEGER NOT NULL,
  PRIMARY KEY (scope, name)
) WITHOUT ROWID;

CREATE TABLE members (
  scope  TEXT NOT NULL,
  name   TEXT NOT NULL,
  member TEXT NOT NULL,
  PRIMARY KEY (scope, name, member)
) WITHOUT ROWID;

CREATE TABLE runs (
  run_id     TEXT PRIMARY KEY,
  tenant     TEXT NOT NULL,
  agent_id   TEXT NOT NULL,
  parent_run TEXT,
  closed     INTEGER NOT NULL,
  revoked    INTEGER NOT NULL, -- the highest generation that is dead for good: only grows
  document   BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX runs_open ON runs (closed) WHERE closed = 0;

CREATE TABLE orders (
  order_id TEXT PRIMARY KEY,
  epoch    INTEGER NOT NULL,
  document BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE tasks (
  task_id  TEXT PRIMARY KEY,
  run_id   TEXT NOT NULL,
  document BLOB NOT NULL
) WITHOUT ROWID;
