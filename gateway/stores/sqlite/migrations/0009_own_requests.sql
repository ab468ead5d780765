-- Where a write went, as far as headers or query say it; and what may have said it without being declared.
ALTER TABLE writes ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE writes ADD COLUMN undeclared TEXT; -- a JSON list
