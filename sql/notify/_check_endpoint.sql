create or replace function _check_endpoint(name text, url text, types text[], secret_name text, format text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_type text;
begin
    perform _check_name('name', _check_endpoint.name, 64),
        _check_word('format', _check_endpoint.format, '{standard,slack,email}');
    if _check_endpoint.types is null then
        raise exception using errcode = '22004', message = 'types is null', column = 'types', hint = 'Pass an array of types, or {*} for all.';
    elsif _check_endpoint.types = '{}' then
        raise exception using errcode = '22023', message = 'types is empty', column = 'types', hint = 'Pass an array of types, or {*} for all.';
    end if;
    foreach v_type in array _check_endpoint.types loop
        perform _check_word('types', v_type, _notification_types() || '*'::text);
    end loop;
    perform _check_endpoint_url(_check_endpoint.url, _check_endpoint.format, _check_endpoint.secret_name is not null);
    -- The value is not repeated: it may be a secret.
    if _check_endpoint.secret_name !~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$' or _check_endpoint.secret_name ~ '^(whsec|sk|xox.)_' then
        raise exception using errcode = '22023', message = 'secret_name is not the name of a variable', column = 'secret_name',
            hint = 'Pass the name of the environment variable that holds the secret, such as WEBHOOK_SECRET, never the secret itself.';
    elsif _check_endpoint.secret_name is not null and _check_endpoint.format = 'email' then
        raise exception using errcode = '22023', message = 'e-mail has no secret', column = 'secret_name',
            hint = 'Leave secret_name out. The sender has the mail server and its password from PYMETER_SMTP_URL.';
    end if;
end
$$;

comment on function _check_endpoint(text, text, text[], text, text) is
    'Raises 22004 or 22023 for an endpoint that cannot be: an unknown type or format, a bad URL, or a secret in the place of its name.';

create or replace function _check_endpoint_url(url text, format text, has_secret boolean)
returns void
language plpgsql
immutable
set search_path from current
as $$
declare
    v_hint text;
begin
    if url is null and format = 'slack' and has_secret then
        return;
    elsif url is null then
        raise exception using errcode = '22004', message = 'url is null', column = 'url',
            hint = 'Pass a URL. Only an endpoint of the format slack may have the URL as its secret.';
    end if;
    v_hint := case
        when length(url) > 2000 then 'Use at most 2,000 characters.'
        when format = 'email' and url !~ '^mailto:[^][:space:],;:<>()?"\\/]+@[A-Za-z0-9.-]+$' then
            'Pass one address, such as mailto:ops@example.com.'
        when format <> 'email' and url !~* '^https?://([[][0-9a-f:.]+[]](:[0-9]+)?|[^][:space:][:cntrl:]/?#@\\]+)([/?][^[:space:][:cntrl:]]*)?$' then
            'Pass an absolute URL, such as https://example.com/hook, without user and password.'
        when url ~* '^https?://hooks[.]slack[.]com' then
            'Such a URL is a secret. Pass null, and as secret_name the name of the environment variable that holds it.'
        when format = 'slack' and has_secret then 'The secret of the format slack is the URL: pass one of both.'
    end;
    if v_hint is not null then
        raise exception using errcode = '22023', message = 'the URL cannot be used', column = 'url', hint = v_hint;
    end if;
end
$$;

comment on function _check_endpoint_url(text, text, boolean) is
    'Raises 22004 or 22023 for a URL that an endpoint of a format cannot have. The error does not repeat it: it may hold a secret.';

create or replace function _get_endpoint(name text)
returns endpoints
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_endpoint endpoints;
begin
    perform _check_name('name', _get_endpoint.name, 64);
    begin
        select * into v_endpoint from endpoints e where e.name = _get_endpoint.name for no key update;
    exception when lock_not_available then
        perform _raise_busy('endpoints');
    end;
    if v_endpoint.name is null then
        raise exception using
            errcode = 'UM007', message = 'no such endpoint', column = 'name', detail = format('endpoint %s.', quote_literal(_get_endpoint.name)),
            hint = 'endpoints() lists them.';
    end if;
    return v_endpoint;
end
$$;

comment on function _get_endpoint(text) is
    'Locks an endpoint and returns it. Raises 22004 or 22023 for a bad name, UM007 if there is none, 55P03 after waiting for 5 seconds.';
