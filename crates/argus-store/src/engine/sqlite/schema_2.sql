-- Version 2: where in spans the calls of a producer lie, see zones.rs.

-- A zone is 16,384 ids (id >> 14), a block 256 of them; bit n of blocks stands for block n of the
-- zone. A block without its bit holds no call of this producer, and none of its calls ended outside
-- of the two moments.
CREATE TABLE span_zones (
    zone INTEGER NOT NULL,
    producer_id INTEGER NOT NULL,
    count INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    failed_blocks INTEGER NOT NULL,
    first_end_ns INTEGER NOT NULL,
    last_end_ns INTEGER NOT NULL,
    PRIMARY KEY (zone, producer_id)
) WITHOUT ROWID;

-- A program's runs, for pages of one program.
CREATE INDEX producers_app_name ON producers(app_name);
