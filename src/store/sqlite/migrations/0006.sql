-- How much came in, by source: in each hour, and, as hour 0, since the beginning. Few rows, written once a transaction.
CREATE TABLE tally (
    source     INTEGER NOT NULL,
    hour       INTEGER NOT NULL, -- hours since 1970-01-01T00:00:00Z
    events     INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    rejections INTEGER NOT NULL, -- those that went into the log
    bytes      INTEGER NOT NULL, -- of the events' headers and bodies
    PRIMARY KEY (source, hour)
) WITHOUT ROWID;
-- What is there already counts by what is left of it, its headers aside.
INSERT INTO tally SELECT source, 0, count(*), sum(duplicates), 0, sum(size) FROM event GROUP BY source;
