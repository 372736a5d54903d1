-- Deliveries in order, destinations that are held, deliveries that were asked for again in bulk.

-- What it has in common with others of its destination that go one at a time; none for any order.
ALTER TABLE delivery ADD COLUMN line INTEGER;
-- Whether it keeps its place in the line: it is unfinished, or dead and holds up those behind it. Of those that stand in a
-- line, the first alone has a time at which it is due; the others get one when it leaves.
ALTER TABLE delivery ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_line ON delivery (destination, line) WHERE standing = 1; -- then id

-- By source, so that each has its turn.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (destination, source, due_at) WHERE state = 0;

-- Destinations to which nothing goes until they are released.
CREATE TABLE paused (destination INTEGER PRIMARY KEY) WITHOUT ROWID;

-- Work that was asked for in bulk and goes on after a restart. kind: 0 replay of events, 1 retry of deliveries. state: 0
-- running, 1 done, 2 cancelled. Few: both those that run and those that have ended are bounded.
CREATE TABLE job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    filter      TEXT NOT NULL,    -- as JSON
    targets     TEXT,             -- names of destinations as JSON; none for those that the routes say
    rate        INTEGER NOT NULL, -- a second
    last        INTEGER NOT NULL, -- the last row that was there when it was asked for
    reached     INTEGER NOT NULL, -- up to here all is done
    due_at      INTEGER NOT NULL, -- when it goes on
    total       INTEGER NOT NULL,
    done        INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE INDEX job_running ON job (id) WHERE state = 0;
