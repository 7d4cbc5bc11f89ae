-- Whose session a place is of, where its key was made before the place had a name.
CREATE TABLE homes (
  bot TEXT NOT NULL,
  place TEXT NOT NULL,
  session TEXT NOT NULL,
  PRIMARY KEY (bot, place)
) STRICT, WITHOUT ROWID;

-- The vendor's id of what somebody said: edits and deletions find it.
ALTER TABLE inbox ADD COLUMN message TEXT;
CREATE INDEX inbox_said ON inbox (bot, message) WHERE message IS NOT NULL;
CREATE INDEX turns_from ON turns (inbox) WHERE inbox IS NOT NULL;

-- JSON of the files that the agent is handed with the prompt.
ALTER TABLE turns ADD COLUMN files TEXT NOT NULL DEFAULT '[]';
