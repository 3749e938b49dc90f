-- Never waits: the first of several concurrent writers takes the bucket's own row, the others go to rows of their sessions. Every role can
-- take this advisory lock too, and all that comes of it is another stripe. Where anything waits, _lock() is used.
create or replace function _stripe(subject text, metric text)
returns smallint
language plpgsql
volatile
set search_path from current
as $$
begin
    if pg_try_advisory_xact_lock(hashtextextended(subject, hashtextextended(metric, 0))) then
        return 0;
    end if;
    return 1 + pg_backend_pid() % 16;
end
$$;

comment on function _stripe(text, text) is
    'The stripe that this transaction writes the rollups of a striped metric''s subject to: 0 unless another one is writing there.';
