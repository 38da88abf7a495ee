-- The closing statement still counts rows, in one pass over them: 100,000 took 90 ms, grouped by state and joined with the receipts
-- while statistics knew nothing of the campaign; now it is 18. Who was not accepted is told apart only where there is somebody, and who
-- was not reached after all is looked up one by one.
create or replace function campanile.statement(of_campaign uuid) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'recipients', (select count(*) from recipient where campaign_id = of_campaign),
    'accepted', m.number - m.others,
    'failed', coalesce(o.failed, 0),
    'skipped', case when o.skipped > 0 then (
      select jsonb_object_agg(code, n) from (
        select code, count(*) as n from message where campaign_id = of_campaign and stage = 1 and state = 'skipped' group by code) by_code) else '{}' end,
    'uncertain', coalesce(o.uncertain, 0),
    'undelivered', (
      select count(*) from (select distinct position from receipt where campaign_id = of_campaign and stage = 1 and kind = 'failed') r
      where (select state from message where campaign_id = of_campaign and stage = 1 and message.position = r.position) = 'accepted'))
  from (
    select count(*) as number, count(*) filter (where state <> 'accepted') as others from message where campaign_id = of_campaign and stage = 1) m
  left join lateral (
    select count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'skipped') as skipped,
      count(*) filter (where state = 'uncertain') as uncertain
    from message where m.others > 0 and campaign_id = of_campaign and stage = 1) o on true
$$;
