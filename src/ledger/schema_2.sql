-- Schema 2: budgets. What a row means is said in schema.sql.

ALTER TABLE call ADD COLUMN team TEXT;
-- The output cap that was asked for, in tokens, where a budget lowered it.
ALTER TABLE call ADD COLUMN clipped_from INTEGER CHECK (clipped_from >= 0);

-- Sources.

-- The last row of a name holds. `terms` is the whole budget: limit, scope, window, zone, and what it does.
CREATE TABLE budget (
    seq     INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    set_ms  INTEGER NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1)),
    terms   TEXT NOT NULL CHECK (json_valid(terms))
) STRICT;

-- Calls that a budget did not admit. They are no spend.
CREATE TABLE refusal (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL, -- that the call would have had
    at_ms         INTEGER NOT NULL,
    command       TEXT NOT NULL,
    provider      TEXT NOT NULL,
    model         TEXT NOT NULL,
    region        TEXT,
    project       TEXT,
    user          TEXT,
    team          TEXT,
    session       TEXT,
    tags          TEXT NOT NULL CHECK (json_valid(tags)),
    needed_picos  INTEGER, -- NULL: nobody can say
    cap_that_fits INTEGER,
    refused       TEXT NOT NULL CHECK (json_valid(refused)), -- each budget that refused, with its sums, the tightest first
    reasons       TEXT NOT NULL CHECK (json_valid(reasons))
) STRICT;

-- A budget reached a percent of its limit: once in each period.
CREATE TABLE alert (
    origin  TEXT NOT NULL,
    name    TEXT NOT NULL,
    account TEXT NOT NULL,
    from_ms INTEGER NOT NULL, -- the period's beginning; of a rolling one, that of the stretch of its length
    percent INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    call    INTEGER NOT NULL REFERENCES call (seq),
    PRIMARY KEY (origin, name, account, from_ms, percent)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_name ON budget (name, seq);

-- Derived. Which calls are added up together, since some instant: never removed, so that its number stays.
CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE, -- scope, window and zone
    since_ms INTEGER NOT NULL      -- earlier calls are not in it
) STRICT;

CREATE TABLE account_call (
    call    INTEGER NOT NULL REFERENCES call (seq),
    account INTEGER NOT NULL REFERENCES account (id),
    slot_ms INTEGER NOT NULL,
    PRIMARY KEY (call, account)
) STRICT, WITHOUT ROWID;

-- Sums of a whole period, or of a part of a rolling one.
CREATE TABLE account_slot (
    account         INTEGER NOT NULL REFERENCES account (id),
    from_ms         INTEGER NOT NULL,
    calls           INTEGER NOT NULL,
    open            INTEGER NOT NULL,
    held_picos      INTEGER NOT NULL, -- ceilings of open calls
    total_picos     INTEGER NOT NULL, -- of settled calls
    at_most_picos   INTEGER NOT NULL, -- the same, with the bound where an amount is not certain
    unknown_open    INTEGER NOT NULL, -- open calls without a ceiling
    unknown_settled INTEGER NOT NULL, -- settled calls whose amount or whose most nobody knows
    PRIMARY KEY (account, from_ms)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER budget_stays BEFORE UPDATE ON budget BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER budget_is_kept BEFORE DELETE ON budget BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER refusal_stays BEFORE UPDATE ON refusal BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER refusal_is_kept BEFORE DELETE ON refusal BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alert_stays BEFORE UPDATE ON alert BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alert_is_kept BEFORE DELETE ON alert BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
