-- The ledger of Truce. Everything is in the schema `truce`; every table says what it is for.

comment on schema truce is
  'The ledger of Truce: what was seen of each pair of records, and how far each feed has come.';

create table truce.mapping (
  entity smallint primary key,
  name text collate "C" not null unique
);
comment on table truce.mapping is
  'The number of each mapping that ever was in the config. Numbers are never used again.';

create table truce.field (
  field smallint primary key,
  entity smallint not null references truce.mapping,
  name text collate "C" not null,
  unique (entity, name)
);
comment on table truce.field is
  'The number of each mapped field that ever was in the config, unique over all mappings.';

create table truce.counter (
  one boolean primary key default true check (one),
  drawn bigint not null default 0
);
insert into truce.counter default values;
comment on table truce.counter is 'The last link number that was drawn. One row.';

-- No foreign keys from here on: each would cost a look-up for every row that is stored, and one
-- transaction stores all that belongs to a link.

-- Half-filled pages: an update finds room in its own page and leaves the indexes alone.
create table truce.link (
  id bigint primary key,
  entity smallint not null,
  state text not null check (state in ('live', 'alias', 'severed', 'tombstone')),
  alias_of bigint check ((alias_of is not null) = (state = 'alias')),
  campaign text collate "C",
  crm text collate "C",
  version bigint not null,
  extras bigint not null,
  due_lane smallint,
  due_at timestamptz check ((due_at is null) = (due_lane is null)),
  body text not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create unique index link_campaign_key on truce.link (entity, campaign) where state = 'live';
create unique index link_crm_key on truce.link (entity, crm) where state = 'live';
create index link_campaign_past_idx on truce.link (entity, campaign, id) where state <> 'live';
create index link_crm_past_idx on truce.link (entity, crm, id) where state <> 'live';
comment on table truce.link is
  'One row a link: a pair of records that stand for one person or thing.';
comment on column truce.link.state is
  'live; alias (its CRM record was merged into that of alias_of); severed (one side was deleted, '
  'the other is left alone); tombstone (both are gone).';
comment on column truce.link.campaign is 'The key of its record in Campaign.';
comment on column truce.link.crm is 'The id of its record in the CRM.';
comment on column truce.link.version is 'How often it was stored. A store names the one it read.';
comment on column truce.link.extras is
  'A hash of what is in match_key, waiting and held, so that these are written only when they change.';
comment on column truce.link.due_at is 'As in the table due, which is the index of it.';
comment on column truce.link.body is
  'JSON: what was seen of each side, the base, the writes under way. A field named in "same" holds '
  'what "base" holds; moments are places in "times"; fields are numbers from the table field. '
  'Read a member with body::json -> ''base''.';

create table truce.due (
  entity smallint not null,
  lane smallint not null,
  at timestamptz not null,
  link bigint not null,
  primary key (entity, lane, at, link)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table truce.due is
  'Links that are to be looked at: lane 0 is consent, which goes first, lane 1 all else.';

create table truce.match_key (
  entity smallint not null,
  side text not null check (side in ('campaign', 'crm')),
  key text collate "C" not null,
  link bigint not null,
  primary key (entity, side, key, link)
);
create index match_key_link_idx on truce.match_key (link);
comment on table truce.match_key is 'The texts by which a record is matched with one across.';

create table truce.waiting (
  entity smallint not null,
  side text not null check (side in ('campaign', 'crm')),
  record text collate "C" not null,
  link bigint not null,
  primary key (entity, side, record, link)
);
create index waiting_link_idx on truce.waiting (link);
comment on table truce.waiting is
  'Links that wait for a record (a parent, a key under way): they become due when its link changes '
  'what it is.';

create table truce.held (
  link bigint not null,
  ordinal integer not null,
  entity smallint not null,
  field smallint,
  reason text not null,
  since timestamptz not null,
  detail json not null,
  primary key (link, ordinal)
);
comment on table truce.held is 'What waits for a person; field null is the whole record.';

create table truce.tally (
  entity smallint not null,
  state text not null,
  links bigint not null,
  primary key (entity, state)
) with (fillfactor = 20);
comment on table truce.tally is
  'How many links there are, so that nobody need count ten million of them.';

create table truce.feed (
  name text collate "C" primary key,
  cursor json not null,
  stored_at timestamptz not null
) with (fillfactor = 20);
comment on table truce.feed is
  'How far each feed has come, stored in the transaction of what it carried.';

create table truce.fact (
  name text collate "C" primary key,
  value json not null
) with (fillfactor = 50);
comment on table truce.fact is 'Small things by name: epochs, identities, progress of scans, brakes.';

create table truce.decision (
  number bigint generated always as identity primary key,
  link bigint not null,
  at timestamptz not null,
  field smallint,
  rule text not null,
  winner text check (winner in ('campaign', 'crm')),
  "values" json not null
) with (autovacuum_vacuum_scale_factor = 0.05);
create index decision_link_idx on truce.decision (link, at);
comment on table truce.decision is
  'What was decided and why, for `truce explain` and `truce replay`; pruned by age.';

create table truce.lease (
  one boolean primary key default true check (one),
  term bigint not null default 0,
  holder text not null default '',
  renewed_at timestamptz not null default '-infinity',
  ends_at timestamptz not null default '-infinity'
) with (fillfactor = 20);
insert into truce.lease default values;
comment on table truce.lease is
  'Who leads: the term grows with each change of leader and never shrinks. Times are the server''s.';

create table truce.life (
  one boolean primary key default true check (one),
  epoch integer not null default 0,
  system_identifier text not null default '',
  timeline integer not null default 0,
  position text not null default '0/0',
  seal text not null default ''
) with (fillfactor = 20);
insert into truce.life default values;
comment on table truce.life is
  'The ledger''s own life: on another system, timeline or log position than this says, or with '
  'another seal than the agent remembers, it was restored or cloned, and a new epoch begins.';
