-- Refused requests can be verified again. What is let in is recorded late: `span` keeps it apart, as kind 2, by when it arrived.

-- The static credentials of a rejection as keyed digests, as JSON; none where it had none.
ALTER TABLE rejection ADD COLUMN sealed TEXT;

-- The key of these digests: random, made when it is first needed.
CREATE TABLE seal (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL
);

-- What verifying again has come to. Apart from `rejection`, whose rows hold bodies: behind one, a column is found only by
-- reading it, and a change writes it anew.
CREATE TABLE reverified (
    rejection INTEGER PRIMARY KEY,
    event_id  TEXT, -- what it has become, once accepted
    code      TEXT, -- else instead of those of the rejection
    diagnosis TEXT
);
