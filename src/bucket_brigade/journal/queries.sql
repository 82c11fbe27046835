-- Every statement the journal executes, by name. Parameters are named; counters are bound one by one.

-- name: create_job
INSERT INTO job (id, job, job_crc, state) VALUES (1, :job, :job_crc, :state);

-- name: begin_run
-- A RUNNING job that nobody holds is one that died.
UPDATE job
SET epoch = epoch + 1,
    reason = iif(state = 'running', :crash_reason, reason),
    state = iif(state = 'running', 'interrupted', state);

-- name: return_all_batches
UPDATE batches SET owner = NULL WHERE closed = 0 AND owner IS NOT NULL;

-- name: select_status
SELECT job, job_crc, state, reason, planning_done, open_batches, started_ns, finished_ns, epoch,
       planned, planned_bytes, done, done_bytes, skipped, vanished, failed, retries
FROM job;

-- name: set_state
UPDATE job
SET state = :state,
    reason = :reason,
    started_ns = iif(:begins AND started_ns = 0, :now_ns, started_ns),
    finished_ns = iif(:ends, :now_ns, 0);

-- name: select_cursor
SELECT planning_cursor, cursor_crc FROM job;

-- name: advance_cursor
UPDATE job
SET planning_cursor = :cursor, cursor_crc = :cursor_crc, planning_done = :exhausted;

-- name: add_to_job
UPDATE job
SET open_batches = open_batches + :open_batches,
    planned = planned + :planned,
    planned_bytes = planned_bytes + :planned_bytes,
    done = done + :done,
    done_bytes = done_bytes + :done_bytes,
    skipped = skipped + :skipped,
    vanished = vanished + :vanished,
    failed = failed + :failed,
    retries = retries + :retries;

-- name: insert_batch
INSERT INTO batches (states, states_crc) VALUES (:states, :states_crc);

-- name: insert_transfers
INSERT INTO transfers (batch_id, transfers, transfers_crc) VALUES (:batch_id, :transfers, :transfers_crc);

-- name: select_queued
SELECT id, epoch, attempts, states, states_crc, transfers, transfers_crc,
       done, done_bytes, skipped, vanished, failed, retries
FROM batches JOIN transfers ON transfers.batch_id = batches.id
WHERE closed = 0 AND owner IS NULL
ORDER BY id
LIMIT :limit;

-- name: claim_batch
UPDATE batches SET owner = :worker, epoch = :epoch, attempts = :attempts WHERE id = :batch_id;

-- name: unclaim_batch
UPDATE batches
SET owner = NULL, attempts = attempts - 1
WHERE id = :batch_id AND epoch = :epoch AND closed = 0;

-- name: select_leased
SELECT length(states) AS size, done, done_bytes, skipped, vanished, failed, retries
FROM batches
WHERE id = :batch_id AND epoch = :epoch AND owner IS NOT NULL;

-- name: update_batch
UPDATE batches
SET states = :states, states_crc = :states_crc,
    closed = :closed, owner = iif(:keep, owner, NULL), attempts = iif(:keep OR :closed, attempts, attempts - 1),
    done = :done, done_bytes = :done_bytes, skipped = :skipped, vanished = :vanished,
    failed = :failed, retries = :retries
WHERE id = :batch_id;

-- name: return_batches_of
UPDATE batches SET owner = NULL WHERE closed = 0 AND owner = :worker;

-- name: select_failed_batches
SELECT id, closed, states, states_crc, failed
FROM batches
WHERE id > :after AND owner IS NULL AND instr(states, x'04') > 0
ORDER BY id
LIMIT :limit;

-- name: reopen_batch
UPDATE batches
SET states = :states, states_crc = :states_crc, failed = 0, attempts = 0, closed = 0
WHERE id = :batch_id;

-- name: delete_failed
DELETE FROM failures WHERE batch_id = :batch_id AND state = 4;

-- name: insert_failure
INSERT OR REPLACE INTO failures
    (batch_id, position, source, target, code, message, request_id, attempts, state)
VALUES
    (:batch_id, :position, :source, :target, :code, :message, :request_id, :attempts, :state);

-- name: next_refusal
SELECT coalesce(max(position) + 1, 0) AS position FROM failures WHERE batch_id = 0;

-- name: select_failures
SELECT batch_id, position, source, target, code, message, request_id, attempts, state
FROM failures
WHERE (batch_id, position) > (:batch_id, :position)
ORDER BY batch_id, position
LIMIT :limit;

-- name: select_batches
SELECT id, states, states_crc, transfers, transfers_crc
FROM batches JOIN transfers ON transfers.batch_id = batches.id
WHERE id > :after
ORDER BY id
LIMIT :limit;

-- name: insert_upload
INSERT INTO uploads (batch_id, position, endpoint, bucket, key, part_size_bytes, fingerprint, begun_ns, upload_id)
VALUES (:batch_id, :position, :endpoint, :bucket, :key, :part_size_bytes, :fingerprint, :begun_ns, :upload_id);

-- name: name_upload
UPDATE uploads SET upload_id = :upload_id WHERE id = :id;

-- name: select_upload
SELECT * FROM uploads WHERE batch_id = :batch_id AND position = :position ORDER BY id DESC LIMIT 1;

-- name: select_uploads
SELECT * FROM uploads ORDER BY id;

-- name: delete_upload
DELETE FROM uploads WHERE id = :id;
