-- What is missing is added while others record: bits are set twice without harm. What is unfounded, a member or a bit without an event, can
-- only come from tampering. Somebody may be recording that very member and have taken it for counted, so everybody who records members is
-- waited for before it is taken away. Unfounded ones come first, to lock the table before any row.
-- The loop reads a sorted result, which is kept on disk if it is large.
create or replace function _correct_members(subject text, metric text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drift  member_drift;
    v_batch  member_drift[];
    v_locked boolean := false;
    v_again  boolean;
begin
    loop
        v_again := false;
        v_batch := '{}';
        for v_drift in
            select * from _member_drifts(_correct_members.subject, _correct_members.metric)
            order by unfounded desc, subject, metric, bucket, bucket_start, member_digest
        loop
            if v_drift.unfounded and not v_locked then
                v_again := true;
                exit;
            end if;
            v_batch := v_batch || v_drift;
            if cardinality(v_batch) = 10000 then
                perform _correct_member_rows(v_batch);
                v_batch := '{}';
            end if;
        end loop;
        exit when not v_again;
        perform _lock_tables('{unique_members}', 'share row exclusive');
        v_locked := true;
    end loop;
    perform _correct_member_rows(v_batch);
end
$$;

comment on function _correct_members(text, text) is
    'Makes unique_members equal the log for one subject and metric (null: all).';
