-- The whole decision log: until now only what discarded a value, and what became of a link.

alter table truce.decision add column verdict text not null default 'discarded'
  check (verdict in ('written', 'discarded', 'held', 'parked', 'changed', 'told'));
update truce.decision set verdict = 'changed' where winner is null;
alter table truce.decision alter column verdict drop default;
alter table truce.decision add column side text check (side in ('campaign', 'crm'));
alter table truce.decision add column sequence integer check ((sequence is null) = (side is null));
comment on column truce.decision.rule is
  'What decided: a policy, a rule of the link, or why it is held.';
comment on column truce.decision.verdict is
  'written; discarded (written over a value that somebody gave); held (for a person); parked (waits '
  'for another record); changed (what the link stands for); told (by a person).';
comment on column truce.decision.sequence is
  'The number of the write that it became, to `side`; its answer is in truce.receipt.';
comment on column truce.decision."values" is
  'The inputs: base, both sides'' values, when each changed and was seen, in microseconds since 1970.';

create table truce.receipt (
  link bigint not null,
  side text not null check (side in ('campaign', 'crm')),
  sequence integer not null,
  at timestamptz not null,
  answer text not null,
  words text
) with (autovacuum_vacuum_scale_factor = 0.05);
create index receipt_link_idx on truce.receipt (link, at);
comment on table truce.receipt is
  'What a side answered to a write, by the number of its stamp; pruned by age, like decisions.';

-- Rows are added in the order of their times: a few pages tell which part of the table is too old.
create index decision_at_idx on truce.decision using brin (at) with (autosummarize = on);
create index receipt_at_idx on truce.receipt using brin (at) with (autosummarize = on);
