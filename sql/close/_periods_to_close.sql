create or replace function _period_to_close(subject text, since timestamptz, until timestamptz, period text, now timestamptz)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
declare
    v_word   text := coalesce(lower(btrim(_period_to_close.period) collate "C"), 'cycle');
    v_window tstzrange;
begin
    if _period_to_close.since is not null or _period_to_close.until is not null then
        v_window := resolve_window(_period_to_close.period, _period_to_close.since, _period_to_close.until);
        if _period_to_close.since is null or _period_to_close.until is null then
            raise exception using errcode = '22004', message = 'since or until is null', column = 'since', hint = 'Pass both, or neither.';
        elsif upper(v_window) > _period_to_close.now then
            raise exception using errcode = '22023', message = 'the period has not ended', column = 'until',
                detail = format('until %s, now %s.', to_char(upper(v_window) at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                to_char(_period_to_close.now at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
                hint = 'Close it when it is over.';
        end if;
        return v_window;
    elsif v_word not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'cycle') then
        raise exception using errcode = '22023', message = 'only calendar periods and cycles are closed by their name', column = 'period',
            detail = format('period %s.', quote_literal(left(_period_to_close.period, 80))),
            hint = 'Use minute, hour, day, week, month, year or cycle; or pass since and until.';
    end if;
    v_window := _metric_window(_period_to_close.subject, null, v_word, null, null, 'UTC', _period_to_close.now);
    return _metric_window(_period_to_close.subject, null, v_word, null, null, 'UTC', lower(v_window) - interval '1 microsecond');
end
$$;

comment on function _period_to_close(text, timestamptz, timestamptz, text, timestamptz) is
    'The period that the arguments of close_period() name. Raises 22004 or 22023 for bad ones, and if it has not ended.';

create or replace function _closed_as(subject text, since timestamptz, until timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select t.statement_id
        from sealed_subjects s
        join statements t on t.subject_id = s.subject_id and t.until = _closed_as.until and t.since = _closed_as.since
        where s.subject = _closed_as.subject);
end
$$;

comment on function _closed_as(text, timestamptz, timestamptz) is 'The statement of exactly this period; null if there is none.';
