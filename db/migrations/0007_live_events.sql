-- Events in one order for all who listen, and progress among them.

-- An event gets its place after its commit, one after the other under the lock of event_tail: whoever has read up to a place has missed
-- nothing before it. (A sequence would not do: it is drawn before the commit, and a later one may be seen first.) The events of one
-- campaign are committed in the order of their seq, for each is drawn under the campaign's lock; their places keep it.
create table event_tail (
  one boolean primary key default true check (one),
  position bigint not null
);
alter table event add column position bigint;
create index event_unplaced on event (campaign_id, seq) where position is null;
create unique index event_position on event (position) where position is not null;

with placed as (select campaign_id, seq, row_number() over (order by at, campaign_id, seq) as place from event),
told as (update event e set position = p.place from placed p where e.campaign_id = p.campaign_id and e.seq = p.seq returning 1)
insert into event_tail (position) select count(*) from placed;

create function campanile.place_events(most int) returns bigint language plpgsql as $$
declare
  tail bigint;
  placed bigint;
begin
  if not exists (select from event where position is null) then
    return 0;
  end if;
  select position into strict tail from event_tail for update;
  update event e set position = tail + u.place
    from (select campaign_id, seq, row_number() over (order by campaign_id, seq) as place from (
      select campaign_id, seq from event where position is null order by campaign_id, seq limit most) next) u
    where e.campaign_id = u.campaign_id and e.seq = u.seq;
  get diagnostics placed = row_count;
  update event_tail set position = tail + placed;
  return placed;
end $$;

-- What was last told of a campaign's progress.
create table campaign_progress (
  campaign_id uuid primary key,
  processed int not null,
  heard int not null,                                          -- messages with a receipt, each kind counted
  per_minute numeric not null,
  at timestamptz not null
) with (fillfactor = 50);

-- Tells how far a campaign is, as an event: after each 100 messages, but once a second at most; after five seconds when anything
-- changed; at its end (`at_end`) whenever something was not told yet. False: there is nothing to tell.
create function campanile.tell_progress(of_campaign uuid, at_end boolean) returns boolean language plpgsql as $$
declare
  c record;
  d record;
  told campaign_progress;
  reached jsonb;
  heard int;
  now timestamptz;
  done int;
  per_minute numeric;
begin
  select id, total_recipients, started_at, last_seq into strict c from campaign where id = of_campaign for no key update;
  if c.started_at is null or coalesce(c.total_recipients, 0) = 0 then
    return false;
  end if;
  select coalesce(sum(accepted), 0) as accepted, coalesce(sum(failed), 0) as failed, coalesce(sum(skipped), 0) as skipped,
    coalesce(sum(uncertain), 0) as uncertain into d from dispatch_count where campaign_id = of_campaign and stage = 1;
  select coalesce(sum(messages), 0), coalesce(jsonb_object_agg(kind, messages), '{}') into heard, reached
    from receipt_count where campaign_id = of_campaign and stage = 1;
  select * into told from campaign_progress where campaign_id = of_campaign;
  now := campanile.clock();
  done := d.accepted + d.failed + d.skipped + d.uncertain;
  if (done, heard) is not distinct from (coalesce(told.processed, 0), coalesce(told.heard, 0)) then
    return false;
  end if;
  if not at_end and told.at > now - interval '5 seconds' and (done / 100 = told.processed / 100 or told.at > now - interval '1 second') then
    return false;
  end if;
  per_minute := 60 * (done - coalesce(told.processed, 0)) / greatest(0.1, extract(epoch from now - coalesce(told.at, c.started_at)));
  insert into campaign_progress values (of_campaign, done, heard, per_minute, now)
    on conflict (campaign_id) do update set processed = excluded.processed, heard = excluded.heard, per_minute = excluded.per_minute, at = excluded.at;
  update campaign set last_seq = last_seq + 1 where id = of_campaign;
  insert into event (campaign_id, seq, name, body) values (of_campaign, c.last_seq + 1, 'campaign:progress', jsonb_build_object(
    'campaignId', of_campaign, 'progress', floor(1000.0 * done / c.total_recipients) / 10, 'processedCount', done,
    'totalRecipients', c.total_recipients, 'sent', d.accepted, 'failed', d.failed, 'skipped', d.skipped, 'uncertain', d.uncertain,
    'delivered', coalesce((reached ->> 'delivered')::int, 0), 'read', coalesce((reached ->> 'read')::int, 0),
    'replied', coalesce((reached ->> 'replied')::int, 0), 'messagesPerMinute', round(per_minute),
    'eta', case when per_minute > 0 and done < c.total_recipients
      then to_char((now + (c.total_recipients - done) / per_minute * interval '1 minute') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end));
  perform pg_notify('campanile', of_campaign::text);
  return true;
end $$;
