-- Where a session works, also where its row cannot be read any more.

ALTER TABLE sessions ADD COLUMN home TEXT;
UPDATE sessions SET home = json_extract(session, '$.home') WHERE json_valid(session);
