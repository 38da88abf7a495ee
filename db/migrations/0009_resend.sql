-- A campaign whose audience are people of an earlier one, by what became of them there.
alter table campaign drop constraint campaign_audience_type_check;
alter table campaign add constraint campaign_audience_type_check check (audience_type in ('segment', 'list', 'csv', 'inline', 'all', 'resend'));
