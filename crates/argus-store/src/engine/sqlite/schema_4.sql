-- Version 4.
--
-- The text form of a span's end is computed where it is read. As a generated column of `spans` it
-- was computed, and thrown away, with every insert: two fifths of what an insert cost. The index
-- holds it for failures alone, and the view's `ts` is the same expression to the letter, so that a
-- question about recent failures still finds the index.
--
-- The collector says when a reader keeps it from writing, and a position when its generation of the
-- chunk was read to the end: what was damaged in it is counted with that, and once only.

ALTER TABLE collector ADD COLUMN held_since_ns INTEGER;
ALTER TABLE collector ADD COLUMN held_by_pid INTEGER;
ALTER TABLE spool_positions ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;

DROP VIEW process_trace;
DROP VIEW data_trace;
DROP INDEX spans_failed_at;
ALTER TABLE spans DROP COLUMN ts;

CREATE INDEX spans_failed_at ON spans(
    strftime('%Y-%m-%d %H:%M:%S', end_ns / 1000000000, 'unixepoch')
        || printf('.%09d', end_ns % 1000000000)
) WHERE status = 'ERR';

-- The joins are outer ones, so that a missing name hides no call.
CREATE VIEW process_trace AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', s.end_ns / 1000000000, 'unixepoch')
        || printf('.%09d', s.end_ns % 1000000000) AS ts,
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
    strftime('%Y-%m-%d %H:%M:%S', s.end_ns / 1000000000, 'unixepoch')
        || printf('.%09d', s.end_ns % 1000000000) AS ts,
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
