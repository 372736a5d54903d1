-- Events whose deliveries are unfinished, in their order: they are few, or new, and lists begin with them.
CREATE INDEX delivery_unfinished ON delivery (event_seq) WHERE state = 0;
CREATE INDEX delivery_failing ON delivery (event_seq) WHERE state = 0 AND failures > 0;
