-- Schema 3: reports. What a row means is said in schema.sql.

-- NULL: llmx made the call. Else what it was read from (`usage import`): no budget counts it.
ALTER TABLE call ADD COLUMN source TEXT;
-- So many requests: more than one only where a row was read from sums of others.
ALTER TABLE call ADD COLUMN requests INTEGER NOT NULL DEFAULT 1 CHECK (requests >= 1);
-- The route that chose the model.
ALTER TABLE call ADD COLUMN route TEXT;

-- Source. Which row of which export became which call, so that reading it again adds nothing.
CREATE TABLE imported (
    source TEXT NOT NULL,
    key    TEXT NOT NULL, -- the source's own id of the row, else what makes it one
    call   INTEGER NOT NULL REFERENCES call (seq),
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

-- Derived. The zones on whose calendars calls are added up by day: those in which a report was asked for.
CREATE TABLE zone (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- What calls are added up by, each text once. An empty text has the number 0 and no row.
DROP TABLE day;
CREATE TABLE day_text (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- What the calls of a sum have in common. The first four are numbers of texts.
CREATE TABLE day_place (
    id         INTEGER PRIMARY KEY,
    provider   INTEGER NOT NULL,
    model      INTEGER NOT NULL,
    region     INTEGER NOT NULL,
    cost_basis INTEGER NOT NULL,
    price      INTEGER NOT NULL, -- 0: none
    UNIQUE (provider, model, region, cost_basis, price)
) STRICT;

-- Settled calls by the day on which they were opened. A call is once in the facet '' and once in each other that it has a
-- value of: 'project', 'user', 'team', 'command', 'tag:KEY'.
CREATE TABLE day (
    zone          INTEGER NOT NULL,
    facet         INTEGER NOT NULL, -- number of a text
    day           INTEGER NOT NULL, -- days since 1970-01-01
    value         INTEGER NOT NULL, -- number of a text
    place         INTEGER NOT NULL,
    calls         INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    picos         INTEGER NOT NULL, -- of the calls that have an amount
    at_most_picos INTEGER NOT NULL, -- the same, with the bound where an amount is not certain
    input         INTEGER NOT NULL, -- tokens that no cache served or kept
    cache_read    INTEGER NOT NULL,
    cache_write   INTEGER NOT NULL,
    output        INTEGER NOT NULL, -- thinking included
    reasoning     INTEGER NOT NULL,
    PRIMARY KEY (zone, facet, day, value, place)
) STRICT, WITHOUT ROWID;

-- Settled calls that are in no sum yet: they join them many at once.
CREATE TABLE day_waiting (
    call INTEGER PRIMARY KEY REFERENCES call (seq)
) STRICT;

CREATE TRIGGER imported_stays BEFORE UPDATE ON imported BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER imported_is_kept BEFORE DELETE ON imported BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
