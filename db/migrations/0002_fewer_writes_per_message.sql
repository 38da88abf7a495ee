-- What a message costs when it is sent. An index on the provider's id took 10 of 34 microseconds of Postgres and 92 of 382 bytes of
-- WAL: a receipt without our reference is found by the address it names instead, a reply of somebody without a number by the receipt
-- that said that the message was sent. Openings are written only where there is a cap.

drop index message_provider_ref;
create index receipt_sent_ref on receipt using hash (provider_ref) where kind = 'sent';

-- Due messages are looked for campaign by campaign, so that those of a paused one are in nobody's way.
drop index message_due;
create index message_due on message (campaign_id, due_at) where state = 'queued';

-- A cap that is set where there was none: opens the addresses that its senders wrote to in the last 24 hours, or may have: outcomes,
-- attempts before them, and what is marked now. The row of the scope is locked by then, so no turn of its senders is between its look
-- at the cap and its commit. A call that is marked now may still reach the vendor for the slots' horizon and the call's time-out.
create function campanile.cap_begins() returns trigger language plpgsql as $$
declare
  until constant timestamptz := campanile.clock() + interval '12 seconds';
begin
  with writing as (
    select c.id from sender s join campaign c on c.workspace_id = s.workspace_id and c.sender_id = s.id
    where s.workspace_id = new.workspace_id and s.cap_scope_id = new.id and c.started_at is not null),
  sent as (
    select m.campaign_id, m.position, case when m.state = 'handing' then until else m.at end as at
      from writing w join message m on m.campaign_id = w.id where m.state in ('accepted', 'uncertain', 'handing')
    union all
    select a.campaign_id, a.position, a.at from writing w join attempt a on a.campaign_id = w.id where a.outcome in ('accepted', 'uncertain')
    union all
    select r.campaign_id, r.position, until from writing w join lot l on l.campaign_id = w.id and l.holder is not null
      join recipient r on r.campaign_id = l.campaign_id and r.position between l.first and l.handed
      where not exists (select from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position)),
  opened as (
    insert into opening as o (scope_id, address, last_at)
    select new.id, r.address, max(s.at) from sent s join recipient r on r.campaign_id = s.campaign_id and r.position = s.position
    where r.address is not null and s.at > campanile.clock() - interval '24 hours' group by r.address order by r.address
    on conflict (scope_id, address) do update set last_at = greatest(o.last_at, excluded.last_at) returning (xmax = 0) as fresh)
  select new.used + count(*) filter (where fresh) into new.used from opened;
  return new;
end $$;
create trigger cap_scope_cap_begins before update of cap on cap_scope
  for each row when (old.cap is null and new.cap is not null) execute function campanile.cap_begins();

-- A turn that nothing limits, in one round trip: stores the accepted messages that came back, and marks the positions from `ask_from` to
-- `ask_to` (null: nobody asks). At the end of a lot (`ends`) it closes the lot and, `onward` given, leases that holder the campaign's next
-- lot that nobody ever held. The locks, and their order, are those of every turn: lot, messages, campaign, cap scope, pace, counters.
-- A function and not one statement, for each of its statements must see what was committed while it waited.
-- Nothing is written when the token is no longer the lot's (`held`). Not `gone_on`: something limits the campaign after all, or a position
-- of the lot has no row; the outcomes are stored, and the caller looks at the limits one by one. `waited_ms`: from its beginning until it
-- had all locks.
create function campanile.turn_at_full_speed(
  of_campaign uuid, of_lot int, of_token bigint, positions int[], refs text[], ask_from int, ask_to int, ends boolean, lease interval, onward uuid,
  out held boolean, out gone_on boolean, out waited_ms double precision, out next_first int, out next_last int, out next_token bigint)
language plpgsql as $$
declare
  began constant timestamptz := campanile.clock();
  at timestamptz;
  c record;
  cap_found int;
  doors_closed bigint;
  is_open boolean;
begin
  perform from lot where campaign_id = of_campaign and first = of_lot and token = of_token and holder is not null for no key update;
  held := found;
  if not held then return; end if;
  insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
    select of_campaign, 1, o.position, 1, 'accepted', o.ref, now.at
    from (select campanile.clock() as at offset 0) now, unnest(positions, refs) as o (position, ref);
  select k.workspace_id, k.channel, k.state, k.expires_at, k.sender_id, k.delay_between_batches_ms, s.blocked_reason, s.cap_scope_id into strict c
    from campaign k join sender s on s.workspace_id = k.workspace_id and s.id = k.sender_id where k.id = of_campaign for no key update of k;
  select cap into strict cap_found from cap_scope where id = c.cap_scope_id for no key update;
  select count(*) filter (where per_second is not null or current_per_second is not null or probing or hold_until > campanile.clock()) into doors_closed
    from (select * from pace where owner_id in (of_campaign, c.sender_id) order by owner_id for no key update) door;
  at := campanile.clock();
  waited_ms := extract(epoch from at - began) * 1000;
  is_open := c.state = 'running' and c.blocked_reason is null and cap_found is null and doors_closed = 0 and (c.expires_at is null or c.expires_at > at);
  if ends then
    delete from lot where campaign_id = of_campaign and first = of_lot and c.delay_between_batches_ms = 0
      and last - first + 1 = (select count(*) from message m where m.campaign_id = of_campaign and m.stage = 1 and m.position between lot.first and lot.last);
    gone_on := found;
    if gone_on and is_open and onward is not null then
      update lot set holder = onward, token = token + 1, lease_until = at + lease
        where campaign_id = of_campaign and first = (
          select free.first from lot free where free.campaign_id = of_campaign and free.holder is null and free.token = 0 and free.due_at <= at
          order by free.first limit 1 for no key update skip locked)
        returning first, last, token into next_first, next_last, next_token;
    end if;
  else
    gone_on := is_open and not exists (select from recipient r
      join suppression s on s.workspace_id = c.workspace_id and s.channel = c.channel and s.address = r.address
      where r.campaign_id = of_campaign and r.position between ask_from and ask_to);
    if gone_on then
      update lot set handed = coalesce(ask_to, handed), lease_until = at + lease where campaign_id = of_campaign and first = of_lot;
    end if;
  end if;
  if cardinality(positions) > 0 then
    insert into dispatch_count as d (campaign_id, stage, accepted) values (of_campaign, 1, cardinality(positions))
      on conflict (campaign_id, stage) do update set accepted = d.accepted + excluded.accepted;
  end if;
end $$;

-- Every campaign has a door of its own, with a pace or without: `next_at` tells when its last slot was, and whoever had it longest ago
-- comes first (rules/pace.ts, horizonOf).
insert into pace (owner_id, per_second, next_at)
  select id, null, coalesce(started_at, created_at) from campaign where state not in ('completed', 'stopped', 'failed') on conflict do nothing;
