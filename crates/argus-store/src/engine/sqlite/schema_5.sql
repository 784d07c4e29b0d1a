-- Version 5: more of what is seen of processes from outside.
--
-- The columns of performance_metrics bear the names of argus_model::Measure. NULL is "not known"
-- (not permitted, not asked for, not counted by the kernel), never zero.

ALTER TABLE performance_metrics ADD COLUMN interval_seconds REAL;
ALTER TABLE performance_metrics ADD COLUMN cpu_normalized_percent REAL;
ALTER TABLE performance_metrics ADD COLUMN disk_read_bytes INTEGER;
ALTER TABLE performance_metrics ADD COLUMN disk_written_bytes INTEGER;
ALTER TABLE performance_metrics ADD COLUMN disk_read_bytes_per_second REAL;
ALTER TABLE performance_metrics ADD COLUMN disk_written_bytes_per_second REAL;
ALTER TABLE performance_metrics ADD COLUMN network_received_bytes INTEGER;
ALTER TABLE performance_metrics ADD COLUMN network_sent_bytes INTEGER;
ALTER TABLE performance_metrics ADD COLUMN network_received_bytes_per_second REAL;
ALTER TABLE performance_metrics ADD COLUMN network_sent_bytes_per_second REAL;
ALTER TABLE performance_metrics ADD COLUMN open_descriptors INTEGER;
ALTER TABLE performance_metrics ADD COLUMN children INTEGER;
ALTER TABLE performance_metrics ADD COLUMN minor_faults INTEGER;
ALTER TABLE performance_metrics ADD COLUMN major_faults INTEGER;
ALTER TABLE performance_metrics ADD COLUMN voluntary_switches INTEGER;
ALTER TABLE performance_metrics ADD COLUMN involuntary_switches INTEGER;
ALTER TABLE performance_metrics ADD COLUMN run_queue_wait_ms REAL;
ALTER TABLE performance_metrics ADD COLUMN pss_mb REAL;

-- A JSON object: what the event's type and exit code do not say.
ALTER TABLE process_events ADD COLUMN detail TEXT;

-- Who started it: same machine, boot and pid namespace.
ALTER TABLE process_runs ADD COLUMN parent_pid INTEGER;
ALTER TABLE process_runs ADD COLUMN parent_start_ticks INTEGER;
CREATE INDEX process_runs_parent ON process_runs(parent_pid) WHERE parent_pid IS NOT NULL;
