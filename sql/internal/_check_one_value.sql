create or replace function _check_one_value(biller billers, metric text, subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_shared record;
begin
    if not exists (
        select from report_metrics t where t.biller = (_check_one_value.biller).biller and t.mode = 'last' and t.event_name is not null
          and (_check_one_value.metric is null or t.metric = _check_one_value.metric)
    ) then
        return;
    end if;
    select * into v_shared from _shared_value(_check_one_value.biller, _check_one_value.metric, _check_one_value.subject);
    if v_shared.metric is not null then
        raise exception using
            errcode = '22023', message = 'two subjects of one customer have values of a metric that is reported in mode last',
            column = case when _check_one_value.subject is null then 'mode' else 'customer' end,
            detail = format('%s of %s for customer %s, period %s.', quote_literal(v_shared.metric),
                array_to_string(array(select quote_literal(left(s, 80)) from unnest(v_shared.subjects[1:2]) s), ' and '),
                quote_literal(v_shared.customer), to_char(v_shared.period_start at time zone interval '0', 'YYYY-MM-DD HH24:MI')),
            hint = 'The biller keeps one value per customer and event name. Record the customer''s value under one subject, map the subjects '
                'to customers of their own, or report the metric from a later since.';
    end if;
end
$$;

comment on function _check_one_value(billers, text, text) is
    'Refuses (22023) a mapping by which two subjects of one customer would overwrite each other''s values (mode last), as far as they have '
    'values already.';
