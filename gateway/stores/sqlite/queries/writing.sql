-- What the writer thread runs. ":rows" stands for as many rows of values as a batch has: one statement, one step.

-- name: keep_entries
INSERT INTO entries (seq, kind, run_id, tenant, line, state) VALUES :rows

-- name: keep_blobs
INSERT INTO blobs (ref, tenant, data) VALUES :rows ON CONFLICT DO NOTHING

-- name: keep_writes
INSERT INTO writes (
  seq, state, tenant, workflow_id, key_digest, key_kind, content, window_s, key_same, key_own, system, type, id, target_tenant, object,
  place, class, remedy, automatic, allowed_until, compensates, undeclared, attempt, wire_key, run_id, generation, step_id, tool, action,
  at, before_version, snapshot_ref, args_ref, rollback_id, parent_step, method, existed, guarded
) VALUES :rows

-- name: taken_keys
WITH asked (tenant, workflow_id, key_digest, attempt) AS (VALUES :rows)
SELECT asked.* FROM asked CROSS JOIN writes INDEXED BY writes_by_key USING (tenant, workflow_id, key_digest, attempt)

-- name: settle_writes
WITH settled (wire_key, state, verification, outcome_seq, status, after_version, reply_ref, reconciled, made, object, known_by, pending) AS (VALUES :rows)
UPDATE writes SET
  state = settled.state, outcome_seq = settled.outcome_seq, status = settled.status, after_version = settled.after_version,
  reply_ref = coalesce(settled.reply_ref, writes.reply_ref), verification = settled.verification, known_by = settled.known_by,
  pending = settled.pending,
  id = coalesce(settled.made, id), object = coalesce(writes.object, settled.object)
FROM settled
WHERE writes.wire_key = settled.wire_key
  AND (writes.state = 'in_flight' OR (writes.state = 'unknown' AND settled.reconciled))

-- name: name_key
INSERT INTO named_keys (tenant, workflow_id, key_own, content, wire_key, seq) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, workflow_id, key_own) DO UPDATE SET content = excluded.content, wire_key = excluded.wire_key, seq = excluded.seq

-- name: compensate_writes
WITH taken_back (wire_key) AS (VALUES :rows)
UPDATE writes SET state = 'compensated' FROM taken_back
WHERE writes.wire_key = taken_back.wire_key AND writes.state IN ('standing', 'unknown')

-- name: keep_sightings
INSERT INTO sightings (scope, object, version, seq) VALUES :rows
ON CONFLICT (scope, object) DO UPDATE SET version = excluded.version, seq = excluded.seq

-- name: keep_counters
INSERT INTO counters (scope, name, used) VALUES :rows ON CONFLICT (scope, name) DO UPDATE SET used = excluded.used

-- name: keep_members
INSERT INTO members (scope, name, member) VALUES :rows

-- name: used
SELECT used FROM counters WHERE scope = ? AND name = ?

-- name: member
SELECT 1 FROM members WHERE scope = ? AND name = ? AND member = ?

-- name: keep_run
INSERT INTO runs (run_id, tenant, agent_id, parent_run, closed, revoked, document) VALUES (?, ?, ?, ?, ? IS NOT NULL, ?, ?)
ON CONFLICT (run_id) DO UPDATE SET closed = excluded.closed, revoked = max(revoked, excluded.revoked), document = excluded.document

-- name: open_runs
SELECT document, revoked FROM runs WHERE closed = 0
  AND (:run IS NULL OR run_id = :run) AND (:agent IS NULL OR agent_id = :agent) AND (:tenant IS NULL OR tenant = :tenant)

-- name: revoke_run
UPDATE runs SET revoked = max(revoked, ?) WHERE run_id = ?

-- name: keep_order
INSERT INTO orders (order_id, epoch, document) VALUES (?, ?, ?)
ON CONFLICT (order_id) DO UPDATE SET epoch = excluded.epoch, document = excluded.document

-- name: keep_task
INSERT INTO tasks (task_id, run_id, document) VALUES (?, ?, ?) ON CONFLICT (task_id) DO UPDATE SET document = excluded.document

-- name: keep_incident
INSERT INTO incidents (incident_id, run_id, generation, cause, document) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (incident_id) DO UPDATE SET document = excluded.document

-- name: keep_rollback
INSERT INTO rollbacks (rollback_id, run_id, document) VALUES (?, ?, ?)
ON CONFLICT (rollback_id) DO UPDATE SET document = excluded.document

-- name: keep_checkpoint
INSERT INTO checkpoints (checkpoint_id, run_id, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: keep_approval
INSERT INTO approvals (approval_id, run_id, generation, action, content, number, status, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (approval_id) DO UPDATE SET status = excluded.status, document = excluded.document
WHERE (approvals.status = 'pending' AND excluded.status != 'pending')
   OR (approvals.status = 'granted' AND excluded.status IN ('used', 'void'))
   OR (approvals.status = 'used' AND approvals.used_by IS NULL AND excluded.status = 'granted')

-- name: granted
SELECT 1 FROM approvals WHERE approval_id = ? AND status = 'granted'

-- name: spend_approval
UPDATE approvals SET status = 'used', used_at = ?, used_by = ? WHERE approval_id = ? AND status = 'granted'

-- name: return_approval
UPDATE approvals SET status = 'granted', used_at = NULL, used_by = NULL WHERE approval_id = ? AND status = 'used' AND used_by = ?

-- name: keep_head
INSERT INTO heads (stream, seq, hash, ts, note) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, ts = excluded.ts, note = excluded.note

-- name: keep_tenant_key
INSERT INTO tenant_keys (tenant, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: forget_tenant_key
DELETE FROM tenant_keys WHERE tenant = ?

-- name: refile_entries
UPDATE entries SET kind = json_extract(CAST(line AS TEXT), '$.kind'), run_id = json_extract(CAST(line AS TEXT), '$.run_id'),
  tenant = json_extract(CAST(line AS TEXT), '$.tenant')
WHERE kind IS NOT json_extract(CAST(line AS TEXT), '$.kind') OR run_id IS NOT json_extract(CAST(line AS TEXT), '$.run_id')
  OR tenant IS NOT json_extract(CAST(line AS TEXT), '$.tenant')

-- name: probe
INSERT INTO probe (room) VALUES (zeroblob(65536))

-- name: end_probe
DELETE FROM probe

-- name: all_entries
SELECT seq, line FROM entries WHERE seq > ? ORDER BY seq LIMIT ?

-- name: keep_state
UPDATE entries SET state = ? WHERE seq = ?
