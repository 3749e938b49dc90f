-- depends: 0025-operations
-- Which one of many meters this is, if their ids have to be unique across all of them.

create table shard (
    only_row   boolean     not null default true,
    number     integer     not null,
    ids_above  bigint      not null,
    joined_at  timestamptz not null default clock_timestamp(),
    earlier_id bigint,
    slots      text        collate "C",

    constraint shard_pkey primary key (only_row),
    constraint there_is_one_row check (only_row),
    constraint number_is_that_of_a_shard check (number between 0 and 1023),
    constraint ids_above_is_no_negative_number check (ids_above >= 0),
    constraint slots_is_a_digest check (slots ~ '^[0-9a-f]{64}$')
);

comment on table shard is
    'The number of this meter among its shards; no row: it is a meter of its own. Ids above ids_above are equal to number modulo 1024. Changed '
    'only by set_shard().';
comment on column shard.only_row is 'True: there is one row at most.';
comment on column shard.number is 'The number of the shard.';
comment on column shard.ids_above is 'The highest id that may have been drawn before the shards were numbered; such ids do not tell their shard.';
comment on column shard.joined_at is 'When the number was given.';

comment on column shard.earlier_id is 'The highest id that the meter had drawn before; null: none.';
comment on column shard.slots is 'The digest of the slots of the map that the shard belongs to; null: it was not told.';

create type shard_state as (number integer, ids_above bigint, joined_at timestamptz, highest_id bigint, earlier_id bigint, problems text[], slots text);
comment on type shard_state is
    'Which shard a meter is. number, ids_above, joined_at: as set_shard() has set them, null for a meter of its own; highest_id: the highest id that '
    'any sequence of bigint has drawn, null if none has; earlier_id: what highest_id was before set_shard(); problems: sequences '
    'whose next ids would not be those of the shard; slots: the digest of the slots of its map, null if it was not told.';
