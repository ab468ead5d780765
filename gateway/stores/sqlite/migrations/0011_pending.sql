-- Whether the tool has accepted a write without having shown that it is done.
ALTER TABLE writes ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
