-- How the success of a write is known, whether it was bound to its before-version, and what makes it equal to others.
ALTER TABLE writes ADD COLUMN guarded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE writes ADD COLUMN known_by TEXT;  -- reply, mark, person or state; absent unless it was applied
ALTER TABLE writes ADD COLUMN key_same TEXT;  -- the digest of the content key that it would have, had it no other; of one that has, NULL
ALTER TABLE writes ADD COLUMN key_own TEXT;   -- of the agent's own key, where it is looked up beside a content key

-- Earlier versions did not note it: what a probe or a rollback concluded, it concluded by state.
UPDATE writes SET known_by = (
  SELECT CASE
    WHEN entries.kind = 'outcome' THEN 'reply'
    WHEN json_extract(CAST(line AS TEXT), '$.by') IN ('probe', 'rollback') THEN 'state'
    ELSE 'person' END
  FROM entries WHERE entries.seq = writes.outcome_seq AND json_extract(CAST(line AS TEXT), '$.result') = 'success'
)
WHERE state IN ('standing', 'compensated');

CREATE INDEX writes_doubtful ON writes (tenant, workflow_id)
WHERE state = 'unknown' OR (state = 'standing' AND known_by IN ('mark', 'person', 'state'));
CREATE INDEX writes_by_own ON writes (tenant, workflow_id, key_own) WHERE key_own IS NOT NULL;
