-- Version 8: parents in other programs.
--
-- A span says so whose parent is not a span of its own producer: a request that another program sent, a
-- child that was forked inside a call. Ids are those of W3C Trace Context, in lower-case hexadecimal.

CREATE TABLE remote_parents (
    id INTEGER PRIMARY KEY,
    producer_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    trace_id TEXT NOT NULL,
    parent_span_id TEXT NOT NULL,
    at_ns INTEGER NOT NULL,      -- when the span began
    UNIQUE (producer_id, number)
);
CREATE INDEX remote_parents_trace ON remote_parents(trace_id);
CREATE INDEX remote_parents_parent ON remote_parents(parent_span_id);
CREATE INDEX remote_parents_at ON remote_parents(at_ns);
