-- What an order names is looked up before it is made, what it holds is counted, and a scrape counts what waits for a person: none of it
-- may read every row. The members that a document holds alone become columns, which follow from it.
ALTER TABLE runs ADD COLUMN task_class TEXT GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.task_class')) VIRTUAL;
ALTER TABLE runs ADD COLUMN expires_at INTEGER GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.expires_at')) VIRTUAL; -- microseconds
CREATE INDEX runs_by_tenant ON runs (tenant, task_class);
CREATE INDEX runs_by_agent ON runs (agent_id, tenant, task_class);
CREATE INDEX runs_by_class ON runs (task_class);
CREATE INDEX runs_alive ON runs (expires_at, run_id, tenant, agent_id, task_class) WHERE closed = 0;

ALTER TABLE tasks ADD COLUMN resolution TEXT GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.resolution')) VIRTUAL;
CREATE INDEX tasks_open ON tasks (task_id, resolution) WHERE resolution IS NULL;
ALTER TABLE incidents ADD COLUMN closed_at INTEGER GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.closed_at')) VIRTUAL; -- microseconds
CREATE INDEX incidents_open ON incidents (incident_id, closed_at) WHERE closed_at IS NULL;
ALTER TABLE rollbacks ADD COLUMN status TEXT GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.status')) VIRTUAL;
CREATE INDEX rollbacks_waiting ON rollbacks (rollback_id, status) WHERE status = 'needs_operator';
ALTER TABLE approvals ADD COLUMN expires_at INTEGER GENERATED ALWAYS AS (json_extract(CAST(document AS TEXT), '$.expires_at')) VIRTUAL; -- microseconds
CREATE INDEX approvals_pending ON approvals (approval_id, expires_at, status) WHERE status = 'pending';
CREATE INDEX approvals_timed ON approvals (expires_at) WHERE status IN ('pending', 'granted') AND expires_at IS NOT NULL;
