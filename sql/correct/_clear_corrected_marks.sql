-- What was beyond the quota and is no longer has no cause any more; if the quota is lowered later, that is the cause. A step is armed at the usage
-- that is left: steps below it do not fire on the way up.
create or replace function _clear_corrected_marks(metric metrics, series series, checked limit_check)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_subject text := (_clear_corrected_marks.series).subject;
    v_cleared record;
begin
    for v_cleared in
        delete from fired_marks f
        where f.limit_id = checked.limit_id and f.subject = v_subject and f.period_start = _marks_since(checked)
          and case f.kind when 'mark' then checked.used < checked.quota * f.mark / 100
                          when 'step' then checked.used < checked.quota + checked.every * f.mark
                          when 'refused' then checked.remaining > 0
                          when 'projected' then false
                          else checked.overrun = 0 end
        returning f.kind, f.mark
    loop
        if v_cleared.kind = 'mark' then
            perform _notify('threshold.cleared', v_subject, (_clear_corrected_marks.metric).key,
                            _mark_data(_clear_corrected_marks.metric, checked, v_cleared.kind, v_cleared.mark));
        elsif v_cleared.kind = 'step' then
            insert into fired_marks (limit_id, subject, period_start, kind, mark)
            select checked.limit_id, v_subject, _marks_since(checked), r.kind, r.mark from _reached_marks(checked) r where r.kind = 'step'
            on conflict do nothing;
        end if;
    end loop;
end
$$;

comment on function _clear_corrected_marks(metrics, series, limit_check) is
    'Arms the marks of a limit again that a correction has taken usage below, and writes a notification for each percentage; and the first refusal, '
    'if something remains. The caller has locked the row of the series.';
