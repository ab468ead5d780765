-- What the ports read, on the read-only connection. All of it is durable.

-- name: stream
SELECT value FROM meta WHERE name = 'stream'

-- name: entries
SELECT line FROM entries WHERE seq > :after
  AND (:run IS NULL OR run_id = :run) AND (:tenant IS NULL OR tenant = :tenant) AND (:kind IS NULL OR kind = :kind)
ORDER BY seq LIMIT :limit

-- name: entries_of_run
SELECT line FROM entries INDEXED BY entries_by_run WHERE run_id = :run AND seq > :after
  AND (:tenant IS NULL OR tenant = :tenant) AND (:kind IS NULL OR kind = :kind)
ORDER BY seq LIMIT :limit

-- name: entries_of_tenant
SELECT line FROM entries INDEXED BY entries_by_tenant WHERE tenant = :tenant AND seq > :after
  AND (:run IS NULL OR run_id = :run) AND (:kind IS NULL OR kind = :kind)
ORDER BY seq LIMIT :limit

-- name: entries_of_kind
SELECT line FROM entries INDEXED BY entries_by_kind WHERE kind = :kind AND seq > :after
  AND (:run IS NULL OR run_id = :run) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY seq LIMIT :limit

-- name: entries_of_rollbacks
SELECT line FROM entries INDEXED BY entries_of_rollbacks WHERE run_id = ? AND kind = 'rollback' ORDER BY seq

-- name: newest_seq
SELECT max(seq) FROM entries

-- name: entries_of_calls
SELECT seq, line FROM entries WHERE seq > :after AND seq <= :until AND kind IN ('read', 'intent', 'refusal') ORDER BY seq LIMIT :limit

-- name: entry
SELECT line FROM entries WHERE seq = ?

-- name: state
SELECT state FROM entries WHERE seq = ?

-- name: tail
SELECT seq, line FROM entries ORDER BY seq DESC LIMIT ?

-- name: count_of_entries
SELECT count(*) FROM entries

-- name: misfiled_entry
SELECT seq FROM (SELECT seq, kind, run_id, tenant, CAST(line AS TEXT) AS told FROM entries)
WHERE kind IS NOT json_extract(told, '$.kind') OR run_id IS NOT json_extract(told, '$.run_id') OR tenant IS NOT json_extract(told, '$.tenant')
LIMIT 1

-- name: heads
SELECT stream, seq, hash, ts, note FROM heads ORDER BY stream

-- name: latest_write
SELECT * FROM writes WHERE tenant = ? AND workflow_id = ? AND key_digest = ? ORDER BY attempt DESC LIMIT 1

-- name: keys_of_workflow
SELECT key_digest FROM writes WHERE tenant = ?1 AND workflow_id = ?2
UNION SELECT key_own FROM writes WHERE tenant = ?1 AND workflow_id = ?2 AND key_own IS NOT NULL
UNION SELECT key_own FROM named_keys WHERE tenant = ?1 AND workflow_id = ?2
LIMIT ?3

-- name: writes_of_run
SELECT * FROM writes WHERE run_id = ? ORDER BY seq

-- name: later_writes
SELECT * FROM writes WHERE workflow_id = ? AND object = ? AND seq > ? AND state != 'failed' ORDER BY seq

-- name: written_at
SELECT 1 FROM writes WHERE object = :object AND seq <= :until AND :version IN (before_version, after_version) LIMIT 1

-- name: read_at
SELECT 1 FROM entries INDEXED BY entries_by_run
WHERE run_id IN (SELECT run_id FROM writes WHERE object = :object UNION SELECT :run) AND seq <= :until AND kind = 'read'
  AND json_extract(CAST(line AS TEXT), '$.version') = :version
  AND json_extract(CAST(line AS TEXT), '$.target.type') = :type AND json_extract(CAST(line AS TEXT), '$.target.id') = :id
LIMIT 1

-- name: other_writes
SELECT * FROM writes WHERE object = ?1 AND wire_key != ?2 AND state != 'failed'
  AND (seq > ?3 OR state IN ('in_flight', 'unknown') OR outcome_seq > ?3)
ORDER BY seq

-- name: writes_of_object
SELECT * FROM writes WHERE object = ? AND state != 'failed' ORDER BY seq

-- name: named_write
SELECT * FROM writes WHERE tenant = ? AND workflow_id = ? AND key_own = ? ORDER BY seq DESC LIMIT 1

-- name: named_key
SELECT wire_key, content, seq FROM named_keys WHERE tenant = ? AND workflow_id = ? AND key_own = ?

-- name: undecided_equals
SELECT * FROM writes INDEXED BY writes_doubtful
WHERE tenant = ?1 AND workflow_id = ?2 AND key_digest != ?3 AND (key_same = ?4 OR (key_kind = 'content' AND key_digest = ?4) OR content = ?5) AND rollback_id IS NULL
  AND (state = 'unknown' OR (state = 'standing' AND known_by IN ('mark', 'person', 'state')))
ORDER BY seq

-- name: undecided_workflows
SELECT DISTINCT tenant, workflow_id FROM writes INDEXED BY writes_doubtful
WHERE state = 'unknown' OR (state = 'standing' AND known_by IN ('mark', 'person', 'state'))

-- name: unsettled_writes
SELECT * FROM writes WHERE state IN ('in_flight', 'unknown') ORDER BY seq

-- name: write_by_wire_key
SELECT * FROM writes WHERE wire_key = ? ORDER BY seq DESC LIMIT 1

-- name: sighting
SELECT version, seq FROM sightings WHERE scope = ? AND object = ?

-- name: run
SELECT document, revoked FROM runs WHERE run_id = ?

-- name: runs
SELECT document, revoked FROM runs WHERE run_id > :after
  AND (:tenant IS NULL OR tenant = :tenant) AND (:agent IS NULL OR agent_id = :agent) AND (:parent IS NULL OR parent_run = :parent)
ORDER BY run_id LIMIT :limit

-- name: known_run
SELECT 1 FROM runs WHERE run_id = :name
  AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
  AND (:classes IS NULL OR task_class IN (SELECT value FROM json_each(:classes)))
LIMIT 1

-- name: known_tenant
SELECT 1 FROM runs WHERE tenant = :name
  AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
  AND (:classes IS NULL OR task_class IN (SELECT value FROM json_each(:classes)))
LIMIT 1

-- name: known_agent
SELECT 1 FROM runs WHERE agent_id = :name
  AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
  AND (:classes IS NULL OR task_class IN (SELECT value FROM json_each(:classes)))
LIMIT 1

-- name: known_class
SELECT 1 FROM runs WHERE task_class = :name
  AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
  AND (:classes IS NULL OR task_class IN (SELECT value FROM json_each(:classes)))
LIMIT 1

-- name: near_classes
WITH RECURSIVE
  below (name, place) AS (
    SELECT max(task_class), 1 FROM runs WHERE task_class < :name
    UNION ALL SELECT (SELECT max(task_class) FROM runs WHERE task_class < below.name), place + 1 FROM below WHERE name IS NOT NULL AND place < :most
  ),
  above (name, place) AS (
    SELECT min(task_class), 1 FROM runs WHERE task_class > :name
    UNION ALL SELECT (SELECT min(task_class) FROM runs WHERE task_class > above.name), place + 1 FROM above WHERE name IS NOT NULL AND place < :most
  )
SELECT name FROM (SELECT name FROM below UNION ALL SELECT name FROM above) AS near
WHERE name IS NOT NULL AND EXISTS (
  SELECT 1 FROM runs WHERE task_class = near.name
    AND (:tenants IS NULL OR runs.tenant IN (SELECT value FROM json_each(:tenants)))
    AND (:classes IS NULL OR runs.task_class IN (SELECT value FROM json_each(:classes)))
)

-- name: near_tenants
WITH RECURSIVE
  below (name, place) AS (
    SELECT max(tenant), 1 FROM runs WHERE tenant < :name
    UNION ALL SELECT (SELECT max(tenant) FROM runs WHERE tenant < below.name), place + 1 FROM below WHERE name IS NOT NULL AND place < :most
  ),
  above (name, place) AS (
    SELECT min(tenant), 1 FROM runs WHERE tenant > :name
    UNION ALL SELECT (SELECT min(tenant) FROM runs WHERE tenant > above.name), place + 1 FROM above WHERE name IS NOT NULL AND place < :most
  )
SELECT name FROM (SELECT name FROM below UNION ALL SELECT name FROM above) AS near
WHERE name IS NOT NULL AND EXISTS (
  SELECT 1 FROM runs WHERE tenant = near.name
    AND (:tenants IS NULL OR runs.tenant IN (SELECT value FROM json_each(:tenants)))
    AND (:classes IS NULL OR runs.task_class IN (SELECT value FROM json_each(:classes)))
)

-- name: near_agents
WITH RECURSIVE
  below (name, place) AS (
    SELECT max(agent_id), 1 FROM runs WHERE agent_id < :name
    UNION ALL SELECT (SELECT max(agent_id) FROM runs WHERE agent_id < below.name), place + 1 FROM below WHERE name IS NOT NULL AND place < :most
  ),
  above (name, place) AS (
    SELECT min(agent_id), 1 FROM runs WHERE agent_id > :name
    UNION ALL SELECT (SELECT min(agent_id) FROM runs WHERE agent_id > above.name), place + 1 FROM above WHERE name IS NOT NULL AND place < :most
  )
SELECT name FROM (SELECT name FROM below UNION ALL SELECT name FROM above) AS near
WHERE name IS NOT NULL AND EXISTS (
  SELECT 1 FROM runs WHERE agent_id = near.name
    AND (:tenants IS NULL OR runs.tenant IN (SELECT value FROM json_each(:tenants)))
    AND (:classes IS NULL OR runs.task_class IN (SELECT value FROM json_each(:classes)))
)

-- name: near_runs
SELECT run_id FROM (
  SELECT * FROM (SELECT run_id, tenant, task_class FROM runs WHERE run_id < :name ORDER BY run_id DESC LIMIT :most)
  UNION ALL SELECT * FROM (SELECT run_id, tenant, task_class FROM runs WHERE run_id > :name ORDER BY run_id LIMIT :most)
)
WHERE (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
  AND (:classes IS NULL OR task_class IN (SELECT value FROM json_each(:classes)))

-- name: open_runs
SELECT expires_at, run_id, tenant, agent_id, task_class FROM runs INDEXED BY runs_alive
WHERE closed = 0 AND (expires_at, run_id) > (?, ?) ORDER BY expires_at, run_id LIMIT ?

-- name: whole_open_runs
SELECT document, revoked, expires_at, run_id, tenant, agent_id, task_class FROM runs INDEXED BY runs_alive
WHERE closed = 0 AND (expires_at, run_id) > (?, ?) ORDER BY expires_at, run_id LIMIT ?

-- name: orders
SELECT document FROM orders ORDER BY epoch, order_id

-- name: task
SELECT document FROM tasks WHERE task_id = ?

-- name: tasks
SELECT document FROM tasks WHERE task_id > :after AND (:run IS NULL OR run_id = :run) ORDER BY task_id LIMIT :limit

-- name: incident
SELECT document FROM incidents WHERE incident_id = ?

-- name: incident_of
SELECT document FROM incidents WHERE run_id = ? AND generation = ? AND cause = ? ORDER BY incident_id DESC LIMIT 1

-- name: incidents
SELECT document FROM incidents WHERE incident_id > :after AND (:run IS NULL OR run_id = :run) ORDER BY incident_id LIMIT :limit

-- name: rollback
SELECT document FROM rollbacks WHERE rollback_id = ?

-- name: rollbacks
SELECT document FROM rollbacks WHERE rollback_id > :after AND (:run IS NULL OR run_id = :run) ORDER BY rollback_id LIMIT :limit

-- name: compensations
SELECT * FROM writes WHERE rollback_id = ? ORDER BY seq

-- name: compensations_of_node
SELECT * FROM writes WHERE rollback_id = ? AND step_id = ? ORDER BY seq

-- name: approval
SELECT document, status, used_at, used_by FROM approvals WHERE approval_id = ?

-- name: approvals
SELECT document, status, used_at, used_by FROM approvals
WHERE approval_id > :after AND (:run IS NULL OR run_id = :run) ORDER BY approval_id LIMIT :limit

-- name: approval_of_call
SELECT document, status, used_at, used_by FROM approvals
WHERE run_id = ? AND generation = ? AND action = ? AND content = ? ORDER BY number DESC LIMIT 1

-- name: checkpoint
SELECT document FROM checkpoints WHERE checkpoint_id = ?

-- name: checkpoints
SELECT document FROM checkpoints WHERE run_id = :run AND checkpoint_id > :after ORDER BY checkpoint_id LIMIT :limit

-- name: standing_write
SELECT * FROM writes INDEXED BY writes_by_key
WHERE tenant = ? AND workflow_id = ? AND key_digest = ? AND state = 'standing' AND seq <= ?
ORDER BY attempt DESC LIMIT 1

-- name: counters
SELECT tip.seq, counters.name, counters.used
FROM (SELECT coalesce(max(seq), 0) AS seq FROM entries) AS tip LEFT JOIN counters ON counters.scope = ?

-- name: blob
SELECT tenant, data FROM blobs WHERE ref = ?

-- name: blobs
SELECT ref, tenant, data FROM blobs WHERE ref IN (SELECT value FROM json_each(?))

-- name: tenant_key
SELECT wrapped FROM tenant_keys WHERE tenant = ?

-- name: open_counts
SELECT
  (SELECT count(*) FROM incidents INDEXED BY incidents_open WHERE closed_at IS NULL),
  (SELECT count(*) FROM approvals INDEXED BY approvals_pending WHERE status = 'pending' AND (expires_at IS NULL OR expires_at > ?)),
  (SELECT count(*) FROM tasks INDEXED BY tasks_open WHERE resolution IS NULL),
  (SELECT count(*) FROM rollbacks INDEXED BY rollbacks_waiting WHERE status = 'needs_operator')

-- name: open_incidents
SELECT document FROM incidents INDEXED BY incidents_open WHERE closed_at IS NULL
ORDER BY incident_id DESC LIMIT ?

-- name: pending_approvals
SELECT document, status, used_at, used_by FROM approvals INDEXED BY approvals_pending
WHERE status = 'pending' AND (expires_at IS NULL OR expires_at > ?) ORDER BY approval_id DESC LIMIT ?

-- name: open_tasks
SELECT document FROM tasks INDEXED BY tasks_open WHERE resolution IS NULL
ORDER BY task_id DESC LIMIT ?

-- name: waiting_rollbacks
SELECT document FROM rollbacks INDEXED BY rollbacks_waiting WHERE status = 'needs_operator'
ORDER BY rollback_id DESC LIMIT ?

-- name: timed_approvals
SELECT document, status, used_at, used_by FROM approvals INDEXED BY approvals_timed
WHERE status IN ('pending', 'granted') AND expires_at IS NOT NULL AND expires_at > ?

-- name: newest_triggers
SELECT line FROM entries INDEXED BY entries_by_kind WHERE kind = 'trigger' ORDER BY seq DESC LIMIT ?
