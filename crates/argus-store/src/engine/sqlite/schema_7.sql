-- Version 7: log lines that mean something, and how far log files were read.
--
-- Rows are committed nearly in order of time, so the index on timestamp finds a stretch of ids, and a
-- search by application or process walks it; the other two served no question of ours, and were a tenth
-- of the bytes.

DROP INDEX idx_logs_app;
DROP INDEX idx_logs_process_id;

-- Of a line of a followed file: the offset behind it.
ALTER TABLE log_entries ADD COLUMN file_offset INTEGER;
-- The time that the line itself tells.
ALTER TABLE log_entries ADD COLUMN said_at_ns INTEGER;
-- What it says, without time, level and the like; its logger; a JSON object of what else it tells.
ALTER TABLE log_entries ADD COLUMN message TEXT;
ALTER TABLE log_entries ADD COLUMN logger TEXT;
ALTER TABLE log_entries ADD COLUMN attributes TEXT;
-- How many lines it stands behind the first of its event; NULL for a first line.
ALTER TABLE log_entries ADD COLUMN continues INTEGER;
-- The template that it fits, see log_templates.
ALTER TABLE log_entries ADD COLUMN template_id INTEGER;

-- Ids by which lines belong together, of one process or of many.
CREATE TABLE log_ids (
    log_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (log_id, name, value)
) WITHOUT ROWID;
CREATE INDEX log_ids_value ON log_ids(value);

CREATE TRIGGER log_entries_gone AFTER DELETE ON log_entries
BEGIN
    DELETE FROM log_ids WHERE log_id = OLD.id;
END;

-- Texts that similar lines have in common, `<*>` standing for what varies; counted over all lines that
-- were ever stored.
CREATE TABLE log_templates (
    id INTEGER PRIMARY KEY,
    pattern TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL
);

-- Contents of log files (which file, and how it begins), and up to where their lines are stored: written
-- in the transaction of the lines, so that whoever follows them next goes on exactly there.
CREATE TABLE log_files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    born_ns INTEGER NOT NULL,    -- 0 when that is not known
    head_bytes INTEGER NOT NULL,
    head_hash INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    noted_ns INTEGER NOT NULL,   -- when the last line was captured
    UNIQUE (path, device, inode, born_ns, head_bytes, head_hash)
);
