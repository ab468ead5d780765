-- All that is known to have been written to an object, by whatever run or workflow; it finds a workflow's own as well.
DROP INDEX writes_by_object;
CREATE INDEX writes_of_object ON writes (object) WHERE object IS NOT NULL;
