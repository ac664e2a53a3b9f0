-- The ledger, schema 1. Amounts are whole picodollars (1e-12 USD); instants are UTC milliseconds since 1970.
-- NULL is unknown, never zero. No views: SQLite would parse them at every start.

-- Sources: rows are added and never changed. Triggers below hold that.

-- One attempt, written before its first byte leaves. Without a settlement it counts at its ceiling.
CREATE TABLE call (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    group_id      TEXT,
    retry_of      TEXT,
    opened_ms     INTEGER NOT NULL,
    command       TEXT NOT NULL,
    provider      TEXT NOT NULL,
    model         TEXT NOT NULL,
    region        TEXT,
    tier          TEXT,
    credential    TEXT, -- where it came from, never its text
    project       TEXT,
    user          TEXT,
    tags          TEXT NOT NULL CHECK (json_valid(tags)),
    session       TEXT,
    parameters    TEXT NOT NULL CHECK (json_valid(parameters)),
    ceiling_picos INTEGER CHECK (ceiling_picos >= 0),
    -- Who can settle it.
    host          TEXT NOT NULL,
    boot          TEXT NOT NULL,
    pid_space     TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    process_start TEXT NOT NULL
) STRICT;

-- What became of it: at most one row per call.
CREATE TABLE settlement (
    call           INTEGER PRIMARY KEY REFERENCES call (seq),
    finished_ms    INTEGER NOT NULL,
    first_token_ms INTEGER,
    model_served   TEXT,
    request_id     TEXT,
    response_id    TEXT,
    tier           TEXT,
    stop_reason    TEXT,
    stopped        TEXT,
    error_class    TEXT,
    error          TEXT,
    status         INTEGER,
    usage_raw      TEXT,
    usage_source   TEXT,
    reasoning      INTEGER,
    cost_basis     TEXT NOT NULL,
    total_picos    INTEGER CHECK (total_picos >= 0),
    at_most_picos  INTEGER CHECK (at_most_picos >= 0),
    table_picos    INTEGER,
    price          INTEGER REFERENCES price (id),
    notes          TEXT NOT NULL CHECK (json_valid(notes)),
    because        TEXT
) STRICT;

CREATE TABLE line (
    call     INTEGER NOT NULL REFERENCES settlement (call),
    n        INTEGER NOT NULL,
    meter    TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    per      INTEGER NOT NULL, -- so many units have the price `rate`
    rate     TEXT,             -- the exact decimal, in USD
    picos    INTEGER,
    model    TEXT,
    PRIMARY KEY (call, n)
) STRICT, WITHOUT ROWID;

-- The entries of price tables that settlements came from. An empty text stands for none.
CREATE TABLE price (
    id         INTEGER PRIMARY KEY,
    price_table TEXT NOT NULL,
    version    TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    entry      TEXT NOT NULL,
    row_from   TEXT NOT NULL,
    checked    TEXT NOT NULL,
    UNIQUE (entry, row_from, version, sha256, price_table, checked)
) STRICT;

-- Later proof about a settled call: the last one is the truth.
CREATE TABLE correction (
    call        INTEGER NOT NULL REFERENCES settlement (call),
    n           INTEGER NOT NULL,
    made_ms     INTEGER NOT NULL,
    cost_basis  TEXT NOT NULL,
    total_picos INTEGER CHECK (total_picos >= 0),
    because     TEXT NOT NULL,
    PRIMARY KEY (call, n)
) STRICT, WITHOUT ROWID;

-- What calls would have cost at other prices. Booked amounts stay as they are.
CREATE TABLE repricing_run (
    id      INTEGER PRIMARY KEY,
    made_ms INTEGER NOT NULL,
    price_table TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    because TEXT NOT NULL
) STRICT;

CREATE TABLE repricing_line (
    run         INTEGER NOT NULL REFERENCES repricing_run (id),
    call        INTEGER NOT NULL REFERENCES settlement (call),
    total_picos INTEGER,
    entry       TEXT,
    PRIMARY KEY (run, call)
) STRICT, WITHOUT ROWID;

-- What was said. The only sources that may be removed.
CREATE TABLE prompt (
    call INTEGER PRIMARY KEY REFERENCES call (seq),
    json TEXT NOT NULL
) STRICT;

CREATE TABLE answer (
    call INTEGER PRIMARY KEY REFERENCES call (seq),
    json TEXT NOT NULL
) STRICT;

CREATE INDEX call_opened ON call (opened_ms);
CREATE INDEX call_group ON call (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX call_session ON call (session, opened_ms) WHERE session IS NOT NULL;

-- Derived: may be made anew from the sources at any time; `ledger check` proves that they agree.

CREATE TABLE open_call (
    call INTEGER PRIMARY KEY REFERENCES call (seq)
) STRICT;

-- Settled calls by the UTC day on which they were opened. An empty text stands for none.
CREATE TABLE day (
    day            TEXT NOT NULL,
    provider       TEXT NOT NULL,
    model          TEXT NOT NULL,
    region         TEXT NOT NULL,
    project        TEXT NOT NULL,
    user           TEXT NOT NULL,
    command        TEXT NOT NULL,
    cost_basis     TEXT NOT NULL,
    calls          INTEGER NOT NULL,
    failed         INTEGER NOT NULL,
    unpriced       INTEGER NOT NULL,
    picos          INTEGER NOT NULL, -- of the calls that have an amount
    at_most_picos  INTEGER NOT NULL, -- the same, with the bound where an amount is not certain
    input          INTEGER NOT NULL, -- tokens that no cache served
    cache_read     INTEGER NOT NULL,
    cache_write    INTEGER NOT NULL,
    output         INTEGER NOT NULL, -- thinking included
    reasoning      INTEGER NOT NULL,
    PRIMARY KEY (day, provider, model, region, project, user, command, cost_basis)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER call_stays BEFORE UPDATE ON call BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER call_is_kept BEFORE DELETE ON call BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER settlement_stays BEFORE UPDATE ON settlement BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER settlement_is_kept BEFORE DELETE ON settlement BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER line_stays BEFORE UPDATE ON line BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER line_is_kept BEFORE DELETE ON line BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER correction_stays BEFORE UPDATE ON correction BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER correction_is_kept BEFORE DELETE ON correction BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
