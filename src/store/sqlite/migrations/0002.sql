-- Marks on identities. Columns at the end with defaults: rows that are there already are not rewritten.

-- The ID of an earlier event with the same content: as text, so that the mark outlives that event.
ALTER TABLE event ADD COLUMN same_content_as TEXT;
-- Whether a duplicate came with other content.
ALTER TABLE event ADD COLUMN body_differs INTEGER NOT NULL DEFAULT 0;
-- Whether the levels of keys hold a key of its content beside the one of its identity: the first 16 bytes of SHA-256 over
-- NUL, source name, NUL, content digest. Only where the signature does not cover the identity, and only for the first event
-- with that content. Events recorded before this have none.
ALTER TABLE event ADD COLUMN content_key INTEGER NOT NULL DEFAULT 0;
