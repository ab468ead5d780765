-- A client that watches a rollback reads the run's rollback entries at every poll. The run may have many entries of other kinds.
CREATE INDEX entries_of_rollbacks ON entries (run_id) WHERE kind = 'rollback';
