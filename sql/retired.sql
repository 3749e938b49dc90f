-- Signatures that no longer exist. This file runs first; DROP FUNCTION IF EXISTS, one release after the last use.
drop function if exists _initial_state(planned_push, timestamptz);
drop function if exists _settle_restored(pushes[], numeric, timestamptz);
