-- The agents' own keys that an equal call under another key has answered: each with the content that it stood for, and the write.
CREATE TABLE named_keys (
  tenant TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  key_own TEXT NOT NULL,
  content TEXT NOT NULL,
  wire_key TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow_id, key_own)
);
