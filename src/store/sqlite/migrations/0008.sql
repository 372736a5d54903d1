-- Requests that came with an Idempotency-Key, and their answers.
CREATE TABLE keyed (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: it is the claim
    key         BLOB NOT NULL UNIQUE,              -- the first 16 bytes of SHA-256 over namespace, NUL, key
    fingerprint BLOB NOT NULL,                     -- SHA-256 of the request
    stage       INTEGER NOT NULL,                  -- 0 claimed, 1 claimed and its effect is committed, 2 answered
    owner       INTEGER,                           -- who has claimed it, until it is answered
    expires_at  INTEGER NOT NULL,
    status      INTEGER,                           -- the answer, where it is kept
    headers     BLOB,
    body        BLOB
);
CREATE INDEX keyed_expiry ON keyed (expires_at);
