create or replace function _fire_marks(metric metrics, series series, checks limit_check[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_check limit_check;
    v_fired record;
begin
    foreach v_check in array checks loop
        continue when v_check.action = 'none' or not exists (select from _reached_marks(v_check));
        for v_fired in
            insert into fired_marks (limit_id, subject, period_start, kind, mark)
            select v_check.limit_id, (_fire_marks.series).subject, _marks_since(v_check), r.kind, r.mark
            from _reached_marks(v_check) r
            where r.kind <> 'step' or not exists (
                select from fired_marks f
                where f.limit_id = v_check.limit_id and f.subject = (_fire_marks.series).subject and f.period_start = _marks_since(v_check)
                  and f.kind = 'step' and f.mark > r.mark)
            order by r.mark, r.kind
            on conflict do nothing
            returning kind, mark
        loop
            perform _notify(case when v_fired.kind = 'mark' and v_fired.mark < 100 then 'threshold.approaching' else 'threshold.exceeded' end,
                            (_fire_marks.series).subject, (_fire_marks.metric).key,
                            _mark_data(_fire_marks.metric, v_check, v_fired.kind, v_fired.mark));
        end loop;
    end loop;
end
$$;

comment on function _fire_marks(metrics, series, limit_check[]) is
    'Writes a notification for each mark of these limits that usage has reached, and that has not fired in this period. The caller has locked the '
    'row of the series.';

-- A trailing window has no period: its marks are armed again when usage has fallen below them.
create or replace function _marks_since(checked limit_check)
returns timestamptz
language sql
immutable
set search_path from current
as $$
    select case when checked.is_trailing then '-infinity' else checked.since end
$$;

comment on function _marks_since(limit_check) is 'The period under which the marks of a limit fire.';

create or replace function _reached_marks(checked limit_check)
returns table (kind text, mark numeric)
language sql
immutable
set search_path from current
as $$
    select 'mark', m from unnest(checked.marks) m where checked.used >= checked.quota * m / 100
    union all
    select 'step', floor((checked.used - checked.quota) / checked.every) where checked.used >= checked.quota + checked.every
$$;

comment on function _reached_marks(limit_check) is
    'The marks that usage has reached: percentages of the quota, and the last whole step beyond it.';

create or replace function _mark_data(metric metrics, checked limit_check, kind text, mark numeric)
returns jsonb
language sql
stable
set search_path from current
as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'limit', checked.name, 'limit_id', checked.limit_id, 'period', checked.period, 'action', checked.action,
        'mark', case kind when 'mark' then mark end, 'step', case kind when 'step' then mark end,
        'numerator', trim_scale(checked.used), 'denominator', checked.quota, 'held', nullif(trim_scale(checked.held), 0), 'unit', metric.unit,
        'since', checked.since, 'until', checked.until))
$$;

comment on function _mark_data(metrics, limit_check, text, numeric) is
    'The facts of a notification about a limit: numerator is what is used, denominator the quota, held what reservations hold.';

-- Before an event is counted: usage that has left a trailing window since may be followed by a rise over the same mark.
create or replace function _clear_marks(metric metrics, series series, checks limit_check[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    checked   limit_check;
    v_cleared record;
begin
    foreach checked in array checks loop
        continue when not checked.is_trailing;
        for v_cleared in
            delete from fired_marks f
            where f.limit_id = checked.limit_id and f.subject = (_clear_marks.series).subject and f.period_start = _marks_since(checked)
              and case f.kind when 'mark' then checked.used < checked.quota * f.mark / 100
                              when 'step' then checked.used < checked.quota + checked.every * f.mark
                              else f.fired_at < checked.since end
            returning f.kind, f.mark
        loop
            if v_cleared.kind = 'mark' then
                perform _notify('threshold.cleared', (_clear_marks.series).subject, (_clear_marks.metric).key,
                                _mark_data(_clear_marks.metric, checked, v_cleared.kind, v_cleared.mark));
            end if;
        end loop;
    end loop;
end
$$;

comment on function _clear_marks(metrics, series, limit_check[]) is
    'Arms the marks of trailing limits again that usage has fallen below, and writes a notification for each percentage; and refusals that are older '
    'than the window.';

create or replace function _note_refusal(metric metrics, series series, checked limit_check, quantity numeric)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into fired_marks (limit_id, subject, period_start, kind, mark)
    values (checked.limit_id, (_note_refusal.series).subject, _marks_since(checked), 'refused', 0)
    on conflict do nothing;
    if found then
        perform _notify('limit.refused', (_note_refusal.series).subject, (_note_refusal.metric).key,
                        _mark_data(_note_refusal.metric, checked, 'refused', 0)
                        || jsonb_strip_nulls(jsonb_build_object('refused', _note_refusal.quantity)));
    end if;
end
$$;

comment on function _note_refusal(metrics, series, limit_check, numeric) is
    'Writes a notification for the first event that a limit refuses in a period.';
