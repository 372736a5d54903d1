-- Who asked for a change, and what became of it.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    client TEXT,
    method TEXT NOT NULL,
    path   TEXT NOT NULL,
    status INTEGER -- of the answer
);
CREATE INDEX audit_actor ON audit (actor); -- then id
