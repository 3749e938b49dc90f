-- Signatures that are no more, dropped before the functions are installed: DROP FUNCTION IF EXISTS, one release after the last use.
drop function if exists maintain();
drop function if exists settle_hour(text, text, text, timestamptz, numeric, numeric, timestamptz);
drop function if exists _drifts(text, text);
drop function if exists _drifts(text, text, boolean);
drop function if exists _correct_rollups(rollup_drift[]);
drop function if exists _create_partition(timestamptz);
drop function if exists define_metric(text, text, text, text, text, text, text, boolean, interval);
drop function if exists _metric_problem(text, text, text, text, text, boolean, interval);
drop function if exists _unmapped(text, boolean);
drop function if exists _drop_outdated(billers, bigint[], timestamptz);
drop function if exists _create_partition(timestamptz, regclass);
drop function if exists _move_strays(timestamptz[]);
drop function if exists subjects(integer);
drop function if exists _newest_subjects(text, integer);
