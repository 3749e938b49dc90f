create or replace function judge_spikes(now timestamptz default now())
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_alert spike_alerts;
    v_start timestamptz;
    v_count bigint := 0;
begin
    if _is_open('judge_spikes') then perform _check_caller('judge_spikes'); end if;
    perform _check_time('now', judge_spikes.now, required => true), _keep_homes();
    for v_alert in select * from spike_alerts order by spike_alert_id loop
        v_start := date_bin(v_alert.within, judge_spikes.now, timestamptz '1969-12-29 00:00:00+00');
        delete from detected_spikes d
        where d.spike_alert_id = v_alert.spike_alert_id and d.window_start < v_start - 2 * v_alert.within;
        -- The running window may be a spike already; the one before may have ended since the last call.
        v_count := v_count + _judge_window(v_alert, v_start - v_alert.within) + _judge_window(v_alert, v_start);
    end loop;
    return v_count;
end
$$;

comment on function judge_spikes(timestamptz) is
    'Compares usage in the running window of each spike alert, and in the one before, with what is usual, and writes spike.detected: once for each '
    'alert, subject and window. Returns how many it wrote. Call it every minute, as pymeter notify --watch does, or from cron; it reads the usage of '
    'every subject that was active in these windows. Raises 22004 or 22023 for a bad value. Example: SELECT meter.judge_spikes();';
