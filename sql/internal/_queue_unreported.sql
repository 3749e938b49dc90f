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
    v_metric  metrics;
    v_bucket  text;
    v_since   timestamptz;
begin
    for v_mapping in
        select * from report_metrics m
        where m.biller = _queue_unreported.biller and m.event_name is not null
          and (_queue_unreported.metric is null or m.metric = _queue_unreported.metric)
    loop
        v_metric := _metric(v_mapping.metric);
        v_since := coalesce(v_mapping.since, '-infinity');
        v_bucket := _reported_bucket(v_metric.aggregate, v_mapping.mode, v_metric.period);
        if v_mapping.mode = 'event' then
            insert into unreported (at, event_id, subject, metric, biller)
            select e.at, e.event_id, e.subject, e.metric, v_mapping.biller
            from events e
            where e.metric = v_mapping.metric and (_queue_unreported.subject is null or e.subject = _queue_unreported.subject)
              and e.at >= v_since
              and not exists (
                  select from pushes p
                  where p.subject = e.subject and p.metric = e.metric and p.biller = v_mapping.biller and p.event_id = e.event_id
                    and p.replaces is null);
        else
            insert into unreported (at, subject, metric, biller)
            select h.bucket_start, h.subject, v_mapping.metric, v_mapping.biller
            from (
                select r.subject, _bucket_start(v_bucket, r.bucket_start) as bucket_start, sum(r.total) as total
                from rollups r
                where r.metric = v_mapping.metric and (_queue_unreported.subject is null or r.subject = _queue_unreported.subject)
                  and r.bucket = case v_bucket when 'hour' then _fine_bucket(v_metric.period, v_metric.rollup) else v_bucket end
                group by 1, 2
            ) h
            left join reported d
                on d.subject = h.subject and d.metric = v_mapping.metric and d.biller = v_mapping.biller
                and d.bucket_start = h.bucket_start
            where h.bucket_start >= v_since
              and (v_bucket <> 'hour' or h.total is distinct from d.quantity + d.as_events);
        end if;
    end loop;
end
$$;

comment on function _queue_unreported(text, text, text) is
    'Queues the usage that is there already and was not reported to a biller: all, or of one metric, or of one subject.';
