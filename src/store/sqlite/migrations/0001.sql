-- Rowid tables whose keys ascend, so that recording appends; what is random (the unique key) stands in a table of its own.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- The last number given out of each kind: numbers are never used twice, whatever is deleted.
CREATE TABLE counter (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    event    INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    owner    INTEGER NOT NULL,
    probe    INTEGER NOT NULL, -- not a number given out, but what a readiness probe changes
    key_0    INTEGER NOT NULL, -- nor these: how many rows the tables hold
    key_1    INTEGER NOT NULL
);
INSERT INTO counter VALUES (1, 0, 0, 0, 0, 0, 0);

-- Filled and emptied by each readiness probe, to see whether there is room.
CREATE TABLE probe (
    id      INTEGER PRIMARY KEY,
    padding BLOB NOT NULL
);

-- Names as numbers. role: 0 source, 1 destination, 2 provider, 3 event type.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    role INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (role, name)
);

CREATE TABLE event (
    seq               INTEGER PRIMARY KEY,
    source            INTEGER NOT NULL,
    event_id          TEXT NOT NULL,
    type              INTEGER NOT NULL,
    provider          INTEGER NOT NULL,
    received_at       INTEGER NOT NULL,
    method            TEXT NOT NULL,
    subpath           TEXT NOT NULL,
    query             TEXT NOT NULL,
    size              INTEGER NOT NULL,
    content_type      TEXT,
    content_digest    BLOB NOT NULL,
    verified_by       TEXT NOT NULL,
    duplicates        INTEGER NOT NULL DEFAULT 0,
    last_duplicate_at INTEGER
);
CREATE INDEX event_source ON event (source); -- then seq, as in every index of a rowid table
CREATE INDEX event_type ON event (type);

-- The dedupe: the first 16 bytes of SHA-256 over source name, NUL, event ID.
-- In levels, because they are
-- random: new ones in the first, from where they go down in order, many to a page. A key is in one level only.
CREATE TABLE key_0 (
    key BLOB PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE key_1 (
    key BLOB PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE key_2 (
    key BLOB PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE VIEW event_key AS
    SELECT key, seq FROM key_0 UNION ALL SELECT key, seq FROM key_1 UNION ALL SELECT key, seq FROM key_2;

-- Apart from `event`, so that lists do not read bodies. Gone once pruned.
CREATE TABLE payload (
    seq     INTEGER PRIMARY KEY,
    headers BLOB NOT NULL,
    body    BLOB NOT NULL
);

-- Which numbers a minute can hold, for questions by time. kind: 0 event, 1 delivery. `low` is the lowest number in this
-- minute or any later one, `high` the highest in this minute or any earlier one; clocks step, so the ranges may overlap.
CREATE TABLE span (
    kind   INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    low    INTEGER NOT NULL,
    high   INTEGER NOT NULL,
    PRIMARY KEY (kind, minute)
) WITHOUT ROWID;

CREATE TABLE delivery (
    id          INTEGER PRIMARY KEY,
    event_seq   INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    state       INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 dead, 3 cancelled
    attempts    INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL, -- while leased: when the lease ends
    owner       INTEGER,          -- who holds the lease
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    replay      INTEGER NOT NULL,
    last_error  TEXT
);
CREATE INDEX delivery_event ON delivery (event_seq);
CREATE INDEX delivery_source ON delivery (source);
CREATE INDEX delivery_destination ON delivery (destination);
CREATE INDEX delivery_due ON delivery (destination, due_at) WHERE state = 0;
CREATE INDEX delivery_leased ON delivery (owner) WHERE owner IS NOT NULL;
CREATE INDEX delivery_undelivered ON delivery (state, event_seq) WHERE state >= 2;

CREATE TABLE attempt (
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status_code INTEGER,
    error       TEXT,
    response    BLOB,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

CREATE TABLE rejection (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    code        TEXT NOT NULL,
    diagnosis   TEXT NOT NULL,
    method      TEXT NOT NULL,
    subpath     TEXT NOT NULL,
    query       TEXT NOT NULL,
    headers     BLOB NOT NULL,
    body        BLOB NOT NULL,
    size        INTEGER NOT NULL -- what counts against the source's bound in bytes
);
CREATE INDEX rejection_source ON rejection (source, id, size);

-- Processes that may hold leases. Each holds a lock on the file `{database}-owner-{id}` while it lives.
CREATE TABLE owner (id INTEGER PRIMARY KEY);
