-- Version 3: statistics of stretches longer than a minute, see rollups/levels.rs.

-- As function_minutes; minute is the first of the stretch, a multiple of its length.
CREATE TABLE function_8_minutes (
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

CREATE TABLE function_64_minutes (
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
CREATE INDEX function_64_minutes_name ON function_64_minutes(name_id);

CREATE TABLE function_512_minutes (
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

-- Stretches of so many minutes hold everything that ended before this minute.
CREATE TABLE summed_up (
    minutes INTEGER PRIMARY KEY,
    until INTEGER NOT NULL
);
