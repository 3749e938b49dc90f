-- It may queue too much, never too little: planning finds by itself that there is nothing left to plan.
create or replace function _queue_unreported(biller text, metric text, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_mapping report_metrics;
begin
    for v_mapping in
        select * from report_metrics m
        where m.biller = _queue_unreported.biller and m.event_name is not null
          and (_queue_unreported.metric is null or m.metric = _queue_unreported.metric)
    loop
        if v_mapping.mode = 'event' then
            perform _queue_events(v_mapping, _queue_unreported.subject);
        else
            perform _queue_buckets(v_mapping, _queue_unreported.subject);
        end if;
    end loop;
end
$$;

comment on function _queue_unreported(text, text, text) is
    'Queues the usage that is there already and was not reported to a biller: all, or of one metric, or of one subject.';
