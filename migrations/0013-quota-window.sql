-- depends: 0012-rights
-- check_quota() returns the window that it has checked: a caller that refuses a request can send Retry-After.

alter type quota_status add attribute since timestamptz;
alter type quota_status add attribute until timestamptz;
comment on type quota_status is
    'How usage stands to a quota in the window [since, until); remaining is never negative. A side of the window that is open is null.';
