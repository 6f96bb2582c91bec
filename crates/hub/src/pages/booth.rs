//! The page of one booth: what it says, how its values went, what happened there, and what to bring on a visit.

use std::collections::BTreeSet;

use booth_contract::AlertId;
use booth_contract::fleet::{Seen, span};
use maud::{Markup, html};

use super::operations::{gap_table, standing_of};
use super::spark::{number, spark, words};
use super::wanted::{Wants, wanted};
use super::{Base, Head, count, moment, more, page};
use crate::course::Span;
use crate::orders::{PLAIN, SIGNED};
use crate::view::{BoothPage, BoothView};

/// The values that have pictures, each with its meaning for whoever looks after booths.
#[rustfmt::skip]
pub(crate) const VALUES: [(&str, &str); 28] = [
    ("ready", "A citizen can speak (1) or not (0)"),
    ("lifts_today", "Lifts since the booth's midnight"),
    ("clips_today", "Messages since the booth's midnight"),
    ("spool_clips", "Messages on the card"),
    ("oldest_unsent_s", "Age of the oldest unsent message, s"),
    ("quarantined_clips", "Messages set aside on the card"),
    ("faults", "Raised alerts"),
    ("capture_ok", "The microphone works (1) or not (0)"),
    ("mic_rms_dbfs", "Loudness of the last message, dB below full scale"),
    ("mic_silence_pct", "Silence in the last message, %"),
    ("selftest_ok", "The self-test was well (1) or not (0)"),
    ("hook_toggles_1h", "Edges of the hook switch in an hour"),
    ("wifi_rssi_dbm", "Signal of the wireless network, dBm"),
    ("reconnects", "Connections since the start that followed a lost one"),
    ("tx_bytes_today", "Bytes sent since the booth's midnight"),
    ("cpu_temp_c", "Temperature of the processor, °C"),
    ("undervolt_count", "Dips of the supply voltage since the start"),
    ("load1", "Load of the processor over one minute"),
    ("mem_free_mb", "Free memory, MiB"),
    ("rss_mb", "Memory of the booth's program, MiB"),
    ("data_used_pct", "How full the card is, %"),
    ("sd_written_mb_today", "Written to the card since midnight, MB"),
    ("sd_io_errors", "Errors of the card"),
    ("fsync_p95_ms", "Syncs of the card, 95th percentile, ms"),
    ("xruns", "Overruns of the sound card since the start"),
    ("up_s", "Age of the booth's program, s"),
    ("cert_days_left", "Days until the certificate ends"),
    ("key_days_left", "Days until the city's key ends"),
];

/// The names of the values that have pictures.
pub(crate) fn names() -> Vec<&'static str> {
    VALUES.iter().map(|(name, _)| *name).collect()
}

/// Somebody who may tell the booth what to do.
#[derive(Debug, Clone)]
pub struct Asking {
    /// What every form of this session carries.
    pub form_token: String,
    /// The command that was sent just now.
    pub sent: Option<String>,
}

/// The page; with `asking` also the commands.
pub fn booth(
    head: &Head,
    base: Base,
    view: &BoothPage,
    wants: Option<&Wants>,
    asking: Option<&Asking>,
) -> Markup {
    let booth = &view.booth;
    let body = html! {
        p { a href=(base.to("operations")) { "All booths" } }
        h1 { (booth.called()) }
        p.soft { (booth.booth_id) @if !booth.place.is_empty() { " · " (booth.place) } @if !booth.expected { " · not expected" } }
        (standing_of(booth, &view.unreadable))
        p { (facts(booth)) }
        (visit(booth))
        (values(view))
        @if let Some(wants) = wants { (wanted(booth, wants)) }
        @if let Some(asking) = asking { (commands(base, booth, asking)) }
        (happened(view))
        @if !view.gaps.is_empty() { h2 { "Clips that are not here" } (gap_table(&view.gaps)) }
        (cards(view))
    };
    page(head, booth.called(), base, &body)
}

/// The values that the booth has said, with their pictures.
fn values(view: &BoothPage) -> Markup {
    let is_said = |n: usize, value: &str| {
        let health = view.booth.health.as_ref();
        let is_now = health.is_some_and(|health| health.get(value).is_some());
        let mut points = view.courses.iter().flatten();
        is_now || points.any(|point| matches!(point.values.get(n), Some(Some(_))))
    };
    let said: Vec<(usize, &(&str, &str))> = VALUES
        .iter()
        .enumerate()
        .filter(|(n, (value, _))| is_said(*n, value))
        .collect();
    html! {
        h2 { "How its values went" }
        @if said.is_empty() {
            p.soft { "It has said no health yet." }
        } @else {
            p.soft { "The band reaches from the least to the greatest, the line is the mean. Where nothing was said there is nothing. \
                Each health is kept for 7 days, each hour for two years." }
            div.scroll tabindex="0" { table {
                thead { tr { th { "Value" } th { "Now" } @for span in Span::ALL { th { (words(span)) } } } }
                tbody { @for (n, (value, meaning)) in said { (row(view, n, value, meaning)) } }
            } }
        }
    }
}

/// When it was heard, what it has, and what runs there.
fn facts(booth: &BoothView) -> String {
    let mut facts = vec![match booth.health_age_s {
        Some(age) => format!("last health {} ago", span(age)),
        None => "no health yet".to_owned(),
    }];
    facts.push(match (booth.spool_clips, booth.oldest_unsent_s) {
        (Some(0) | None, _) => "nothing unsent".to_owned(),
        (Some(clips), Some(age)) => format!(
            "{} unsent, the oldest {}",
            count(clips, "message", "messages"),
            span(age)
        ),
        (Some(clips), None) => format!("{} on the card", count(clips, "message", "messages")),
    });
    if let Some(at) = &booth.last_clip_at {
        facts.push(format!("last message {}", moment(at)));
    }
    if let Some(version) = &booth.sw_version {
        facts.push(format!("software {version}"));
    }
    let mut facts = facts.join("; ");
    facts.push('.');
    facts
}

/// What to bring on a visit, by the alerts that are raised.
fn visit(booth: &BoothView) -> Markup {
    let raised = booth.alerts.iter();
    let raised = raised.filter_map(|alert| AlertId::parse(&alert.id));
    let things: BTreeSet<&str> = raised.flat_map(things_for).copied().collect();
    html! {
        @if !things.is_empty() {
            h2 { "To bring on a visit" }
            ul { @for thing in &things { li { (thing) } } }
        }
    }
}

const CARD: &str = "a prepared card of this booth; send the old one in, messages may lie on it";
const HANDSET: &str = "a handset with microphone and earpiece";
const SOUND: &str = "a USB sound card";
const WIRING: &str = "a meter and tools for the hook switch's and the keypad's wiring";

/// What an alert may call for on the spot.
fn things_for(alert: AlertId) -> &'static [&'static str] {
    match alert {
        AlertId::CaptureLost | AlertId::PlaybackLost => &[SOUND],
        AlertId::MicrophoneDead | AlertId::MicrophoneSilent => &[HANDSET, SOUND],
        AlertId::SpoolFull
        | AlertId::SpoolUnwritable
        | AlertId::SpoolDamaged
        | AlertId::DataPartitionMissing
        | AlertId::DataPartitionMovedAside
        | AlertId::DiskErrors => &[CARD],
        AlertId::HandsetFailed | AlertId::HookNeverOn => &[HANDSET, WIRING],
        AlertId::ControlsFaulty => &["a dial or a keypad, as this booth has", WIRING],
        AlertId::KeyStuck => &["a dry keypad with its seal, and a cloth", WIRING],
        AlertId::CaseOpen => &["the key of the case, and a lock"],
        AlertId::NotConnected => {
            &["a network cable, a SIM card, and a telephone to try the network with"]
        }
        AlertId::CertExpiring => &["the new certificate on a USB stick"],
        AlertId::Power => &["a power supply with its cable"],
        AlertId::Temperature => &["a brush for the vents, and a fan"],
        AlertId::PromptMissing => &["the prompts on a USB stick, or a prepared card"],
        _ => &[],
    }
}

fn row(view: &BoothPage, n: usize, value: &str, meaning: &str) -> Markup {
    let now = view.generated_at.as_second();
    let said = view
        .booth
        .health
        .as_ref()
        .and_then(|health| health.get(value));
    html! {
        tr {
            th scope="row" { (meaning) div.soft { code { (value) } } }
            td { @match said { Some(said) => (number(said)), None => "–" } }
            @for (span, points) in Span::ALL.iter().zip(&view.courses) {
                td {
                    @let points: Vec<_> = points.iter().filter_map(|point| Some((point.at, (*point.values.get(n)?)?))).collect();
                    (spark(value, *span, now, &points))
                }
            }
        }
    }
}

/// What can be told to the booth. The answers come as events.
fn commands(base: Base, booth: &BoothView, asking: &Asking) -> Markup {
    let at = |last: &str| format!("{}booth/{}/{last}", base.to(""), booth.booth_id);
    let known = asking
        .sent
        .as_deref()
        .filter(|sent| PLAIN.iter().chain(&SIGNED).any(|command| command == sent));
    let form = |command: &str, body: Markup, word: &str| {
        html! {
            form.choice method="post" action=(at("order")) {
                input type="hidden" name="form_token" value=(asking.form_token);
                input type="hidden" name="command" value=(command);
                (body)
                button { (word) }
            }
        }
    };
    html! {
        h2 id="commands" { "Tell it what to do" }
        @if let Some(sent) = known { p.note role="status" { "The command " code { (sent) } " was sent. Its answer stands under What happened, as " code { "reply/" (sent) } "." } }
        @if booth.stale { p.warn { "The booth is silent: a command that it does not get within a minute is not obeyed later." } }
        (form("ring", html! { label { "Rings " input name="rings" value="2" size="2" inputmode="numeric"; } }, "Ring the bell"))
        (form("selftest", html! {}, "Let it test itself"))
        (form("resend", html! { label { "Clip " input name="clip_id" placeholder="all that were refused"; } }, "Let it send again"))
        (form("rebirth", html! {}, "Let it introduce itself again"))
        (form("reload", html! {}, "Let it read its configuration again"))
        (form("drain", html! { label { "Minutes " input name="minutes" value="30" size="3" inputmode="numeric"; } }, "Empty it for a change of its card"))
        (form("update", html! { label { "Address " input name="url" type="url" placeholder="https://… or nothing to cancel"; } }, "Update it"))
        details {
            summary { "Commands that the city signs" }
            p { "Only the holder of the city's control key can make a booth restart, give up a clip, or seal to other keys. Download the text, sign it with "
                code { "minisign -Sm body.json -s control.key" } " on a machine without a network, and put both files in here." }
            p { a href=(at("to-sign?command=reboot")) download="body.json" { "The text for reboot" } }
            form.choice method="get" action=(at("to-sign")) {
                input type="hidden" name="command" value="purge";
                label { "Clip " input name="clip_id" required; }
                button { "The text for purge" }
            }
            form method="post" action=(at("order")) {
                input type="hidden" name="form_token" value=(asking.form_token);
                p { label { "Command " select name="command" { @for command in SIGNED { option { (command) } } } } }
                p { label { "body.json, byte for byte" br; textarea name="body" rows="4" cols="60" required {} } }
                p { label { "body.json.minisig" br; textarea name="minisig" rows="4" cols="60" required {} } }
                button { "Send it" }
            }
        }
    }
}

/// Alerts over time, events, and replies to commands.
fn happened(view: &BoothPage) -> Markup {
    html! {
        h2 { "What happened" }
        @if view.happened.entries.is_empty() {
            p.soft { "Nothing was heard of it." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "When" } th { "What" } th { "Details" } } }
                tbody { @for entry in &view.happened.entries { tr {
                    td { (moment(&entry.at)) }
                    td { (entry.what) " " (entry.id) }
                    td { (entry.text.chars().take(MAX_TEXT).collect::<String>()) }
                } } }
            } }
            (more(view.happened.more(), "entries: booth-hub history tells them all"))
        }
    }
}

/// Most of an event's payload that is shown, in characters.
const MAX_TEXT: usize = 300;

/// Which cards and machines were here.
fn cards(view: &BoothPage) -> Markup {
    html! {
        @if !view.cards.is_empty() {
            h2 { "Cards that were here" }
            div.scroll tabindex="0" { table {
                thead { tr { th { "Card" } th { "First heard" } th { "Last heard" } th { "Highest message" } th { "State" } } }
                tbody { @for card in &view.cards { tr {
                    td { code { (card.card_id) } } td { (moment(&card.first_seen)) } td { (moment(&card.last_seen)) }
                    td { @match card.last_clip_no { Some(number) => (number), None => "–" } }
                    td { @if card.is_current { "in the booth now" } @else if !card.is_announced { "not announced" } }
                } } }
            } }
        }
        @if !view.machines.is_empty() {
            h2 { "Machines that used this booth's id" }
            ul { @for machine in &view.machines { li { code { (machine.hw_serial) } ", last started " (moment(&machine.last_birth)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use booth_contract::Health;

    use super::*;

    #[test]
    fn every_picture_is_of_a_value_of_the_contract_and_each_value_has_one() {
        let names: BTreeSet<&str> = names().into_iter().collect();
        assert_eq!(names.len(), VALUES.len());
        for name in names {
            assert!(Health::NAMES.contains(&name), "{name}");
        }
    }
}
