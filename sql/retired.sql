-- Signatures that no longer exist. This file runs first; DROP FUNCTION IF EXISTS, one release after the last use.
drop function if exists _initial_state(planned_push, timestamptz);
drop function if exists _settle_restored(pushes[], numeric, timestamptz);
drop function if exists record(text, text, numeric, text, text, timestamptz, jsonb, boolean);
drop function if exists record_batch(jsonb, text);
drop function if exists _record_event(text, text, numeric, text, text, timestamptz, jsonb, boolean, bigint, uuid);
drop function if exists _record_rows(batch_event[]);
drop function if exists _metric_window(text, text, timestamptz, timestamptz, text, timestamptz);
drop function if exists _series_buckets(timestamptz, timestamptz, text, text);
drop function if exists _replay_result(metrics, text, uuid, numeric, text);
drop function if exists _note_failing(delivery_result[], timestamptz);
drop function if exists _notify_top_ups();
drop function if exists _notify_top_up(metrics, top_ups, numeric, timestamptz);
