-- The IDs of the items of a request that brought several, as a JSON array. Goes with the payload.
CREATE TABLE item (
    seq INTEGER PRIMARY KEY,
    ids TEXT NOT NULL
);

-- Secrets that senders have made up and told in a handshake: one for each source.
CREATE TABLE learned (
    source     INTEGER PRIMARY KEY,
    secret     TEXT NOT NULL,
    learned_at INTEGER NOT NULL
);
