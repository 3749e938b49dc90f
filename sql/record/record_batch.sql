create or replace function record_batch(
    events jsonb, on_invalid text default 'raise', overflow boolean default false, on_refused text default 'skip'
)
returns setof batch_outcome
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_rows     batch_event[];
    v_invalid  batch_event;
    v_problem  record;
    v_outcomes batch_outcome[];
begin
    if _is_open('record_batch') then perform _check_caller('record_batch'); end if;
    perform _check_events(record_batch.events), _check_word('on_invalid', record_batch.on_invalid, '{raise,skip}'),
        _check_word('on_refused', record_batch.on_refused, '{raise,skip}');

    -- Nearly all batches are all ordinary or not at all, which the first event tells.
    if current_setting('transaction_isolation') = 'read committed' and exists (
        select from series s
        where s.metric = events -> 0 ->> 'metric' and s.subject = events -> 0 ->> 'subject' and s.stripe = 0 and s.is_ordinary
    ) then
        return query select * from _record_ordinary_batch(record_batch.events);
        if found then
            return;
        end if;
    end if;

    v_rows := _prepare_batch(record_batch.events);

    if record_batch.on_invalid = 'raise' then
        select * into v_invalid from unnest(v_rows) where problem is not null order by ordinal limit 1;
        if v_invalid.problem is not null then
            select * into v_problem from _problems() where code = v_invalid.problem;
            raise exception using
                errcode = v_problem.sqlstate, message = v_problem.message, hint = v_problem.hint, column = v_problem.parameter,
                detail = format('Event %s: %s', v_invalid.ordinal, concat_ws(', ', v_invalid.detail,
                    _event_detail(v_invalid.subject, v_invalid.metric, v_invalid.quantity, v_invalid.member, v_invalid.at)));
        end if;
    end if;

    v_outcomes := array(select o from _record_rows(v_rows, coalesce(record_batch.overflow, false)) o);
    if record_batch.on_invalid = 'raise' then
        perform _raise_rejected(v_outcomes);
    end if;
    if record_batch.on_refused = 'raise' then
        perform _raise_refused(v_outcomes);
    end if;
    return query select * from unnest(v_outcomes);
end
$$;

comment on function record_batch(jsonb, text, boolean, text) is
    'Records a JSON array of events, objects with the names of record()''s parameters. Outcomes and state are the same as for record() '
    'called for each event in order. Returns one row for each event, in input order. on_invalid raise: an invalid event refuses the whole '
    'batch, and DETAIL names its ordinal. on_invalid skip: invalid events are returned as rejected, with SQLSTATE, message and hint, and '
    'the others are recorded. Limits decide about the events in order: a refused one takes nothing, and the next is decided anew. overflow true: '
    'none is refused. on_refused raise: a refused event refuses the whole batch (UM003). Raises as record() does; '
    '22004 or 22023 if events is not a JSON array. '
    'Example: BEGIN; SELECT ordinal, outcome, sqlstate, message FROM meter.record_batch(''[{"subject": "acct_1", "metric": "tokens", '
    '"quantity": 50, "at": "2026-06-18T14:30:00Z"}, {"subject": "acct_1", "metric": "tokens", "quantity": -1}]'', on_invalid => ''skip''); '
    'ROLLBACK;';
