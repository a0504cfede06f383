-- The read-only contract. Columns are never removed or re-typed; new ones come at the end.
-- @json, @ago, @later, @no differ between the databases, @step, @moved, @rank and @ranked are said once: see
-- views.py.

create view v1_feed_identity as
select feed_id, floor, newest_seq from feed_identity;

create view v1_accounts as
select a.name as account, a.provider, a.label, a.configured, a.region, a.time_zone, a.paused_reason
from account a;

create view v1_orders as
with settings as (select keep_ended_s from feed_identity),
judged as (
  select o.*, a.name as account, a.provider, a.configured,
    (select max(f.covered_at) from feed f where f.account_id = o.account_id and f.covers = o.direction
      and f.covered_at >= o.first_seen_at and o.deleted_at is null and o.misses = 0
      and not exists (select 1 from quarantine q where q.ref = o.provider_order_id
        and q.account_id = o.account_id and q.resolved_at is null)) as covered_at,
    coalesce(o.is_open and o.stuck_at <= @ago(0), @no()) as is_stuck,
    coalesce(o.deleted_at is null and (o.state = 'unknown' or (o.waiting_on in ('us', 'unknown')
      and (o.is_open or o.numbers_open > 0 or o.ended_at >= @ago(select keep_ended_s from settings)))), @no()) as needs_us
  from port_order o join account a on a.id = o.account_id
)
select
  o.order_id, o.provider, o.account, o.direction, o.provider_order_id, o.customer_reference,
  o.customer_group_reference, o.description, o.support_key, o.group_key, o.sub_account, o.state, o.raw_status,
  o.mapping_basis, o.map_version, o.waiting_on, o.needs_us, o.why, o.waiting_since,
  case when not o.needs_us then null
    when o.deadline_presses and o.deadline_at <= @ago(-86400) then 1
    when o.deadline_presses and o.deadline_at <= @ago(-259200) or o.state in ('exception', 'unknown')
      or o.rollup_state in ('exception', 'unknown') then 2
    else 3 end as urgency,
  case when o.needs_us then 'waiting_for_us'
    when o.deleted_at is not null then 'closed'
    when o.state = 'ported' then 'completed'
    when o.state in ('partially_ported', 'cancelled', 'rejected', 'reverted') then 'closed'
    when o.state = 'scheduled' then 'scheduled'
    else 'in_progress' end as display_group,
  @json(o.reasons) as reasons, o.is_open,
  o.requested_foc_on, o.requested_foc_at, o.confirmed_foc_on, o.confirmed_foc_at, o.foc_is_firm,
  o.ported_at, o.ported_at_source,
  o.losing_carrier, o.losing_carrier_spid, o.gaining_carrier, o.gaining_carrier_spid,
  o.messaging_state, o.messaging_open,
  o.numbers_total, o.numbers_ported, o.numbers_open, o.numbers_ended_unported, o.numbers_active,
  o.rollup_state, o.is_mixed, o.disagreement, o.parent_order_id, o.submission_cycle, o.foc_changes,
  o.created_at, o.submitted_at, o.first_scheduled_at, o.ended_at, o.end_cause, o.state_since, o.first_seen_at,
  o.last_changed_at, @later(o.last_read_at, o.covered_at) as last_read_ok_at, o.last_seq, o.deadline_at,
  o.deadline_kind, o.deleted_at, o.deletion_basis,
  o.is_stuck, case when o.is_stuck then o.stuck_at end as stuck_since, o.requirements_met,
  o.activation_job_status, o.activation_state, o.port_type, o.remaining_numbers, o.number_type, o.fast_port,
  o.foc_state, o.pon
from judged o;

create view v1_waiting as
select v.order_id, v.provider, v.account, v.direction, v.provider_order_id, v.support_key, v.customer_reference,
  v.state, v.raw_status, v.why, v.waiting_since, v.numbers_total, v.losing_carrier, v.confirmed_foc_on,
  v.deadline_at, v.deadline_kind, v.urgency, v.is_stuck, v.stuck_since,
  v.foc_is_firm, v.gaining_carrier, v.losing_carrier_spid, n.number_key as first_number,
  n.number_key || case when v.numbers_total > 1 then ' (+' || (v.numbers_total - 1) || ' more)' else '' end
    as numbers_text,
  case when v.direction = 'port_out' then
    (select b.customer_reference
    from port_number leaving join port_number came on came.number_key = leaving.number_key
      join port_order b on b.id = came.order_pk
    where leaving.order_pk = o.id and leaving.is_current
      and b.direction = 'port_in' and b.customer_reference is not null
      and coalesce(b.created_at, b.ported_at, b.state_since, b.first_seen_at)
        <= coalesce(o.created_at, o.state_since, o.first_seen_at)
    order by case when b.ported_at is null then 1 else 0 end, b.ported_at desc, b.first_seen_at desc, b.id desc
    limit 1) end as customer_before,
  v.foc_state, v.pon
from port_order o join account a on a.id = o.account_id join v1_orders v on v.order_id = o.order_id
  left join port_number n on n.order_pk = o.id and n.number_key =
    (select min(m.number_key) from port_number m where m.order_pk = o.id and m.is_current)
where (o.waiting_on in ('us', 'unknown') or o.state = 'unknown') and a.configured and v.needs_us;

-- The orders that the provider keeps together, or that came out of one another, each with the key of its group.
-- (An order that may have none is looked for through those that have a parent, which are few.)
-- @rank and @ranked say in which order states roll up; of the most urgent orders the lowest rank is the worst.
create view v1_groups as
with member as (
  select o.order_id, o.group_key, o.foc_ends_at from port_order o where o.group_key is not null
  union all
  select o.order_id, coalesce(p.group_key, o.parent_order_id), o.foc_ends_at
  from port_order o left join port_order p on p.order_id = o.parent_order_id
  where o.parent_order_id is not null and coalesce(o.group_key, '') = ''
  union all
  select distinct o.order_id, o.order_id, o.foc_ends_at
  from port_order child join port_order o on o.order_id = child.parent_order_id
  where child.parent_order_id is not null and coalesce(child.group_key, o.group_key, '') = ''
),
ranked as (
  select m.group_key, v.provider, v.account, v.numbers_total, v.urgency, @rank(v.state) as place,
    case when v.is_open and m.foc_ends_at > @ago(0) then v.confirmed_foc_on end as to_come
  from member m join v1_orders v on v.order_id = m.order_id
  where v.deleted_at is null
),
rolled as (
  select group_key, provider, account, count(*) as orders, sum(numbers_total) as numbers, min(to_come) as next_foc_on,
    min(place) as lowest, max(place) as highest, min(coalesce(urgency, 9) * 100 + place) as pressing
  from ranked group by group_key, provider, account
)
select group_key, provider, account, orders, numbers,
  case when lowest < @rank('ported') and lowest > @rank('scheduled') and highest = @rank('ported')
    then 'partially_ported' else @ranked(lowest) end as state,
  @ranked(pressing - pressing / 100 * 100) as worst, next_foc_on
from rolled;

create view v1_numbers as
select o.order_id, a.name as account, a.provider, n.number_key, n.e164, n.raw_number, n.state, n.raw_status,
  n.mapping_basis, n.activation_state, n.messaging_state, n.carrier_status_raw, n.state_since, n.added_at,
  n.ported_at, n.removed_at, n.is_current, n.last_seq, n.portability_status, n.requirements_status,
  n.carrier_status
from port_number n join port_order o on o.id = n.order_pk join account a on a.id = o.account_id;

create view v1_reasons as
select o.order_id, nullif(r.number_key, '') as number_key, r.code, r.raw_code, r.raw_text, r.waiting_on,
  r.from_at, r.to_at
from reason r join port_order o on o.id = r.order_pk;

create view v1_events as
select e.id as event_id, a.name as account, a.provider, e.provider_event_id, o.order_id, e.number_key,
  e.event_type, e.occurred_at, e.first_seen_at, e.late, e.raw_from, e.raw_to, e.payload_complete, @json(e.payload) as payload
from event e join port_order o on o.id = e.order_pk join account a on a.id = e.account_id;

create view v1_changes as
select c.seq, c.batch, a.name as account, a.provider, o.direction, o.order_id, o.customer_reference,
  nullif(c.number_key, '') as number_key, c.kind, nullif(c.field, '') as field, c.old_value, c.new_value,
  c.occurred_at, c.observed_at, c.not_before, c.late, c.regression, c.unexpected, c.initial, c.source,
  c.provider_event_id
from change c join port_order o on o.id = c.order_pk join account a on a.id = o.account_id;

create view v1_comments as
select o.order_id, m.comment_id, m.author_type, m.body, m.occurred_at, m.observed_at, m.last_seq
from comment m join port_order o on o.id = m.order_pk;

-- Each arm by itself, so that a number's or an order's rows are found by an index. The arms that end in a join
-- with port_number repeat an order's own moments for each number it has.
create view v1_timeline as
select 'e' || e.id as entry_id, o.order_id, e.number_key, e.occurred_at as sort_at,
  e.occurred_at, e.first_seen_at as observed_at, e.event_type as what,
  @step(e.raw_from, e.raw_to) as detail, 'event' as source
from event e join port_order o on o.id = e.order_pk
union all
select 'e' || e.id || '/' || n.number_key, o.order_id, n.number_key, e.occurred_at, e.occurred_at,
  e.first_seen_at, e.event_type, @step(e.raw_from, e.raw_to), 'event'
from event e join port_order o on o.id = e.order_pk join port_number n on n.order_pk = e.order_pk
where e.number_key is null
union all
select 'c' || c.seq, o.order_id, c.number_key, coalesce(c.occurred_at, c.observed_at), c.occurred_at,
  c.observed_at, c.kind, @moved(c), c.source
from change c join port_order o on o.id = c.order_pk
where c.number_key <> '' and c.kind not in ('attribute_changed', 'comment_added')
union all
select 'c' || c.seq || '/from', o.order_id, c.number_key, coalesce(c.occurred_at, c.observed_at), c.occurred_at,
  c.observed_at, c.kind, @moved(c), c.source
from change c join port_order o on o.order_id = c.old_value
where c.kind = 'number_moved'
union all
select 'c' || c.seq, o.order_id, null, coalesce(c.occurred_at, c.observed_at), c.occurred_at,
  c.observed_at, c.kind, @moved(c), c.source
from change c join port_order o on o.id = c.order_pk
where c.number_key = '' and c.kind not in ('attribute_changed', 'comment_added')
union all
select 'c' || c.seq || '/' || n.number_key, o.order_id, n.number_key,
  coalesce(c.occurred_at, c.observed_at), c.occurred_at, c.observed_at, c.kind, @moved(c), c.source
from change c join port_order o on o.id = c.order_pk join port_number n on n.order_pk = c.order_pk
where c.number_key = '' and c.kind not in ('attribute_changed', 'comment_added')
union all
select 'm' || m.order_pk || ':' || m.comment_id, o.order_id, null, coalesce(m.occurred_at, m.observed_at),
  m.occurred_at, m.observed_at, 'comment', m.author_type || ': ' || coalesce(m.body, ''), 'comment'
from comment m join port_order o on o.id = m.order_pk
union all
select 'm' || m.order_pk || ':' || m.comment_id || '/' || n.number_key, o.order_id, n.number_key,
  coalesce(m.occurred_at, m.observed_at), m.occurred_at, m.observed_at, 'comment',
  m.author_type || ': ' || coalesce(m.body, ''), 'comment'
from comment m join port_order o on o.id = m.order_pk join port_number n on n.order_pk = m.order_pk;

create view v1_feeds as
select a.name as account, a.provider, f.feed, f.cursor_at, f.last_attempt_at, f.last_complete_at,
  f.last_new_at, f.last_outcome, f.last_error, f.failing_since, f.consecutive_failures, f.not_before,
  f.next_due_at,
  (a.configured and f.enabled
    and coalesce(f.last_complete_at, f.known_since) < @ago(f.stale_after_s)) as stale,
  f.longest_quiet_s,
  coalesce(a.configured and f.enabled and f.known_since < @ago(1209600)
    and f.last_complete_at >= @ago(f.stale_after_s)
    and f.last_new_at < @ago(case when f.longest_quiet_s > 28800 then 3 * f.longest_quiet_s
      when f.longest_quiet_s is not null then 86400 end), @no()) as is_quiet,
  (select count(*) from wanted w where w.account_id = f.account_id) as wanted
from feed f join account a on a.id = f.account_id;

create view v1_unknown_words as
select a.provider, a.name as account, u.vocabulary, u.word, min(o.order_id) as example,
  min(u.first_seen_at) as first_seen_at, max(u.last_seen_at) as last_seen_at, count(*) as orders
from unknown_word u join account a on a.id = u.account_id join port_order o on o.id = u.order_pk
group by a.provider, a.name, u.vocabulary, u.word;

create view v1_quarantine as
select a.name || '/' || q.feed || '/' || q.ref as quarantine_id, a.name as account, a.provider, q.feed, q.ref,
  q.error, q.first_seen_at, q.last_seen_at, q.count, q.resolved_at
from quarantine q join account a on a.id = q.account_id
