-- Where a session works, also where its row cannot be read any more.

ALTER TABLE sessions ADD COLUMN home TEXT;
