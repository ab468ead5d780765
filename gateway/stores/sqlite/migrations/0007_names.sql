-- An object's name holds its tool: several tools may be of one system, and the ids of one are not those of another.
UPDATE writes SET object = coalesce(target_tenant, '') || '/' || tool || '/' || system || ':' || type || ':' || id
WHERE object IS NOT NULL;

-- A sighting follows from the entry at its seq: which of the tools it was of stands there.
UPDATE OR REPLACE sightings SET object = (
  SELECT coalesce(json_extract(told, '$.target.tenant'), '') || '/' || coalesce(json_extract(told, '$.tool'), '') || substr(
    sightings.object, length(coalesce(json_extract(told, '$.target.tenant'), '')) + 1)
  FROM (SELECT CAST(line AS TEXT) AS told FROM entries WHERE seq = sightings.seq)
)
WHERE EXISTS (SELECT 1 FROM entries WHERE seq = sightings.seq);
