-- The names are what alert rules and dashboards are written against: they only grow.
create or replace function _metric_names()
returns table (ordinal integer, name text, type text, help text)
language sql
immutable parallel safe
as $$
    select n.ordinal, 'pymeter_' || n.name, n.type, n.help
    from (values
        (1, 'events_recorded', 'gauge', 'Events that count, without voided ones. Absent for a metric with too many buckets to add up.'),
        (2, 'event_ids_total', 'counter', 'Ids drawn for events and reservations: at least as many as were recorded.'),
        (3, 'last_event_age_seconds', 'gauge', 'Time since the latest event, by the time of the event; an upper bound with thousands of subjects.'),
        (4, 'limit_refused_subjects', 'gauge', 'Subjects of whose usage a limit has refused some within a day, by metric.'),
        (5, 'reservations_open', 'gauge', 'Reservations that hold something; counted up to 10,000.'),
        (6, 'reservations_oldest_seconds', 'gauge', 'Age of the oldest reservation among those that expire first; 0 without any.'),
        (7, 'notifications_pending', 'gauge', 'Notifications to be planned, and deliveries to be sent; each counted up to 10,000.'),
        (8, 'notifications_oldest_seconds', 'gauge', 'How long what is due has been waiting to be sent; 0 if nothing is due.'),
        (9, 'notifications_dead', 'gauge', 'Deliveries that were given up; counted up to 10,000.'),
        (10, 'unreported_oldest_seconds', 'gauge', 'Age of the oldest usage or statement that a biller has not confirmed; 0 if there is none.'),
        (11, 'pushes', 'gauge', 'Pushes that are not settled, by state; counted up to 10,000 each for those to be sent and the others.'),
        (12, 'drift_rows', 'gauge', 'Rows that the last check_drift() found to differ. Absent before the first one.'),
        (13, 'drift_check_age_seconds', 'gauge', 'Time since the last check_drift(), or since the installation.'),
        (14, 'default_partition_rows', 'gauge', 'Events in the default partition; counted up to 10,000.'),
        (15, 'partition_horizon_days', 'gauge', 'For how many days the log has partitions; months after the next three are not looked at.'),
        (16, 'periods_unclosed', 'gauge', 'Subjects whose billing cycle should have been closed more than a day ago; counted up to 20,000.'),
        (17, 'late_usage_open', 'gauge', 'Lines of statements with late usage that is not decided; counted up to 10,000.'),
        (18, 'maintenance_age_seconds', 'gauge', 'Time since the last maintain(), or since the installation.'),
        (19, 'health_problems', 'gauge', 'Problems that health() reports.')
    ) n (ordinal, name, type, help)
$$;

comment on function _metric_names() is 'The names of operational_metrics(), in the order in which they are returned.';
