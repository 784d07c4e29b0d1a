-- Version 1 of the schema. Never edited once released: a change is a new migration.
--
-- Numbers of 64 bits without sign (machine, boot, span numbers) are stored bit for bit as signed
-- ones. `*_ns` are nanoseconds, as moments since the Unix epoch. Nothing here needs an SQLite newer
-- than 3.31, so that the system's sqlite3 can read everything.

-- ---- who ----

CREATE TABLE process_runs (
    id INTEGER PRIMARY KEY,
    machine INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    pid_namespace INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    app_name TEXT NOT NULL,
    process_name TEXT NOT NULL,
    command_line TEXT NOT NULL,
    hostname TEXT NOT NULL,
    instrumented INTEGER NOT NULL DEFAULT 0,
    observer INTEGER NOT NULL DEFAULT 0,
    started_at_ns INTEGER NOT NULL,
    ended_at_ns INTEGER,
    exit_code INTEGER,
    UNIQUE (pid, start_ticks, machine, boot, pid_namespace)
);

CREATE TABLE producers (
    id INTEGER PRIMARY KEY,
    producer TEXT NOT NULL UNIQUE,
    run_id INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    app_name TEXT NOT NULL DEFAULT '',
    process_name TEXT NOT NULL DEFAULT '',
    command_line TEXT NOT NULL DEFAULT '',
    hostname TEXT NOT NULL DEFAULT '',
    runtime TEXT NOT NULL DEFAULT '',
    argus_version TEXT NOT NULL DEFAULT '',
    parent_pid INTEGER NOT NULL DEFAULT 0,
    seen_at_ns INTEGER NOT NULL,
    ended_at_ns INTEGER,
    exit_code INTEGER,
    stored INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    clamped INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX producers_pid ON producers(pid);

-- What a producer lost, by gap: its ledger's other half is the sum over these rows.
CREATE TABLE gaps (
    producer_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    reason TEXT NOT NULL,
    normal INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    from_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL,
    PRIMARY KEY (producer_id, number)
) WITHOUT ROWID;

CREATE TABLE spool_positions (
    producer_id INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (producer_id, chunk)
) WITHOUT ROWID;

-- ---- spans ----

-- Unique by all columns but id; the only writer keeps that, so no wide index is needed.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    kind INTEGER NOT NULL,
    process_group TEXT,
    file TEXT,
    line INTEGER NOT NULL,
    parameters TEXT NOT NULL
);
CREATE INDEX names_text ON names(text);

CREATE TABLE threads (
    id INTEGER PRIMARY KEY,
    tid INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (tid, name)
);

-- id is the commit sequence, given by the writer. No index but those on failures: each one more
-- would cost more than the row itself.
CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    producer_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    thread_id INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    status TEXT NOT NULL,
    captured TEXT,
    exception TEXT,
    interrupted INTEGER NOT NULL,
    ts TEXT GENERATED ALWAYS AS (
        strftime('%Y-%m-%d %H:%M:%S', end_ns / 1000000000, 'unixepoch')
            || printf('.%09d', end_ns % 1000000000)
    ) VIRTUAL
);
CREATE INDEX spans_failed_at ON spans(ts) WHERE status = 'ERR';
CREATE INDEX spans_failed ON spans(id) WHERE status = 'ERR';

CREATE TABLE open_spans (
    producer_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    thread_id INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    started_monotonic INTEGER NOT NULL,
    captured TEXT,
    PRIMARY KEY (producer_id, number)
);

-- Per minute of the spans' end and per function. min_id and max_id bound the ids of that minute's
-- spans, which is how a rare function or an old hour is found without an index on spans.
CREATE TABLE function_minutes (
    minute INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    count INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    max_ns INTEGER NOT NULL,
    min_id INTEGER NOT NULL,
    max_id INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (minute, name_id)
) WITHOUT ROWID;
CREATE INDEX function_minutes_name ON function_minutes(name_id);

-- The same bounds for all functions together: where in spans a stretch of time lies.
CREATE TABLE span_minutes (
    minute INTEGER PRIMARY KEY,
    min_id INTEGER NOT NULL,
    max_id INTEGER NOT NULL
);

-- ---- processes, from outside ----

CREATE TABLE performance_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    app_name TEXT NOT NULL,
    process_name TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    cpu_percent REAL NOT NULL,
    memory_mb REAL NOT NULL,
    thread_count INTEGER NOT NULL,
    hostname TEXT,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP,
    run_id INTEGER,
    at_ns INTEGER
);
CREATE INDEX idx_metrics_timestamp ON performance_metrics(timestamp);
CREATE INDEX idx_metrics_app ON performance_metrics(app_name);
CREATE INDEX idx_metrics_process_id ON performance_metrics(process_id);

CREATE TABLE log_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    app_name TEXT NOT NULL,
    process_name TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    log_line TEXT NOT NULL,
    logfile_path TEXT,
    hostname TEXT,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP,
    run_id INTEGER,
    at_ns INTEGER,
    source TEXT,
    level TEXT,
    span_producer_id INTEGER,
    span_number INTEGER,
    altered INTEGER
);
CREATE INDEX idx_logs_timestamp ON log_entries(timestamp);
CREATE INDEX idx_logs_app ON log_entries(app_name);
CREATE INDEX idx_logs_process_id ON log_entries(process_id);

CREATE TABLE process_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    app_name TEXT NOT NULL,
    process_name TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    exit_code INTEGER,
    hostname TEXT,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP,
    run_id INTEGER,
    at_ns INTEGER
);
CREATE INDEX idx_events_timestamp ON process_events(timestamp);
CREATE INDEX idx_events_app ON process_events(app_name);
CREATE INDEX idx_events_type ON process_events(event_type);

-- Any named quantity. `value` is NULL for what is not a number.
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    app_name TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value REAL,
    unit TEXT NOT NULL,
    attributes TEXT,
    run_id INTEGER,
    at_ns INTEGER
);
CREATE INDEX metrics_timestamp ON metrics(timestamp);

-- ---- sessions ----

CREATE TABLE obs_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL UNIQUE,
    producer_id INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    started_at_ns INTEGER NOT NULL,
    ended_at_ns INTEGER,
    status TEXT NOT NULL
);
CREATE INDEX obs_sessions_active ON obs_sessions(producer_id) WHERE status = 'active';

CREATE TABLE obs_events (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    id INTEGER PRIMARY KEY,
    UNIQUE (session, seq)
);

CREATE TABLE obs_session_meta (
    session_id TEXT PRIMARY KEY,
    next_seq INTEGER NOT NULL,
    status TEXT NOT NULL
) WITHOUT ROWID;

-- ---- the store's own books ----

-- What every table holds, by stretches of its key: how many rows, and the wrapping sum of their
-- hashes. Kept by the writer in the transaction of the rows; whatever changed a row otherwise is
-- found by comparing. A stretch is `key >> shift`, and each table's shift stands in sums.rs.
CREATE TABLE sums (
    checked TEXT NOT NULL,
    stretch INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    PRIMARY KEY (checked, stretch)
) WITHOUT ROWID;

-- One row, kept in the transaction of the rows it counts: counting thirty million takes seconds.
CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_span_id INTEGER NOT NULL DEFAULT 0,
    spans INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    seen_open INTEGER NOT NULL DEFAULT 0,
    samples INTEGER NOT NULL DEFAULT 0,
    logs INTEGER NOT NULL DEFAULT 0,
    process_events INTEGER NOT NULL DEFAULT 0,
    metrics INTEGER NOT NULL DEFAULT 0,
    syncs INTEGER NOT NULL DEFAULT 0
);
INSERT INTO totals (one) VALUES (1);

CREATE TABLE collector (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    pid INTEGER NOT NULL,
    heartbeat_ns INTEGER NOT NULL,
    backlog_bytes INTEGER NOT NULL,
    write_lag_ns INTEGER NOT NULL
);

-- ---- views ----

-- The joins are outer ones, so that a missing name hides no call.
CREATE VIEW process_trace AS
SELECT
    s.ts AS ts,
    coalesce(n.text, '?' || s.name_id) AS process,
    s.status AS status,
    s.duration_ns / 1000000.0 AS duration_ms,
    s.exception AS exception,
    n.process_group AS process_group,
    p.app_name AS app_name,
    p.pid AS pid,
    t.name AS thread,
    t.tid AS tid,
    s.interrupted AS interrupted,
    s.id AS id,
    s.producer_id AS producer_id,
    s.number AS span,
    nullif(s.parent, 0) AS parent
FROM spans AS s
LEFT JOIN names AS n ON n.id = s.name_id
LEFT JOIN producers AS p ON p.id = s.producer_id
LEFT JOIN threads AS t ON t.id = s.thread_id;

CREATE VIEW data_trace AS
SELECT
    s.ts AS ts,
    coalesce(n.text, '?' || s.name_id) AS process,
    leaf.key AS data,
    CASE part.key WHEN 'i' THEN 'INPUT' WHEN 'o' THEN 'OUTPUT' ELSE 'LOCAL' END AS data_type,
    leaf.value AS data_value,
    s.status AS status,
    s.exception AS exception,
    n.process_group AS process_group,
    p.pid AS pid,
    s.id AS id
FROM spans AS s
JOIN json_each(CASE WHEN json_valid(s.captured) THEN s.captured ELSE '{}' END) AS part
JOIN json_each(CASE part.type WHEN 'object' THEN part.value ELSE '{}' END) AS leaf
LEFT JOIN names AS n ON n.id = s.name_id
LEFT JOIN producers AS p ON p.id = s.producer_id
WHERE part.key IN ('i', 'o', 'l');
