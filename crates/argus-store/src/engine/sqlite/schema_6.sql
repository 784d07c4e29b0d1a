-- Version 6: the stacks of threads, sampled from outside.
--
-- Few stacks are seen often: their text stands once, found by its hash and compared. It goes with
-- the last row that names it.

CREATE TABLE stacks (
    id INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL,
    frames TEXT NOT NULL         -- a line `function (file:line)` for each call, innermost first
);
CREATE INDEX stacks_hash ON stacks(hash);

-- A row when a thread's stack or state has changed, every ten seconds though nothing has, and when
-- the thread has ended. stack_id is NULL where there are no frames.
CREATE TABLE stack_samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    tid INTEGER NOT NULL,
    thread_name TEXT NOT NULL,
    state TEXT NOT NULL,         -- active, idle, ended
    gil INTEGER NOT NULL,        -- 1 when it held the interpreter's lock
    stack_id INTEGER
);
CREATE INDEX stack_samples_at ON stack_samples(at_ns);
CREATE INDEX stack_samples_stack ON stack_samples(stack_id);

CREATE TRIGGER stack_samples_gone AFTER DELETE ON stack_samples
WHEN NOT EXISTS (SELECT 1 FROM stack_samples WHERE stack_id = OLD.stack_id)
BEGIN
    DELETE FROM stacks WHERE id = OLD.stack_id;
END;

ALTER TABLE totals ADD COLUMN stack_samples INTEGER NOT NULL DEFAULT 0;

CREATE VIEW stack_trace AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', s.at_ns / 1000000000, 'unixepoch')
        || printf('.%09d', s.at_ns % 1000000000) AS ts,
    r.app_name AS app_name,
    r.pid AS pid,
    s.tid AS tid,
    s.thread_name AS thread,
    s.state AS state,
    s.gil AS gil,
    t.frames AS frames,
    s.id AS id
FROM stack_samples AS s
LEFT JOIN process_runs AS r ON r.id = s.run_id
LEFT JOIN stacks AS t ON t.id = s.stack_id;
