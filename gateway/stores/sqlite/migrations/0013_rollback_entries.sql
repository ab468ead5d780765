-- Whoever watches a rollback reads its entries again and again, and its run may have very many of other kinds.
CREATE INDEX entries_of_rollbacks ON entries (run_id) WHERE kind = 'rollback';
