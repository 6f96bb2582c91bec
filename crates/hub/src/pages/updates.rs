//! The page of a rollout: which booth has which version, how far the new one is, and the forms that begin, stop and go on.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Asking, Base, Head, count, grouped, page};
use crate::rollout::{Progress, Rollout, Standing};
use crate::view::FleetView;

/// Most booths of one standing that are named.
const MOST_NAMED: usize = 200;

/// The page; with `asking` also the forms, which offer these addresses of files.
pub fn updates(
    head: &Head,
    view: &FleetView,
    rollout: Option<&Rollout>,
    asking: Option<&Asking>,
    files: &[String],
) -> Markup {
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for booth in &view.booths {
        *versions
            .entry(booth.sw_version.as_deref().unwrap_or("unknown"))
            .or_default() += 1;
    }
    let body = html! {
        h1 { "Updates" }
        p.soft { "A new version goes to one booth, then to a tenth, then to the rest; no wave begins before each booth of the last one was ready for ten minutes. \
            It stops by itself where a booth goes back, or is less ready than before. Each booth checks the update's signature itself." }
        @match rollout {
            None => p { "There was no rollout yet." },
            Some(rollout) => (state_of(rollout, asking)),
        }
        @if let Some(asking) = asking { @if rollout.is_none_or(|rollout| !rollout.is_under_way()) { (begin(asking, files)) } }
        h2 { "Versions" }
        ul { @for (version, number) in &versions { li { (version) ": " (count(*number, "booth", "booths")) } } }
    };
    page(head, "Updates", Base::BESIDE, &body)
}

fn state_of(rollout: &Rollout, asking: Option<&Asking>) -> Markup {
    let of = |wanted: fn(&Standing) -> bool| -> Vec<&Progress> {
        rollout
            .booths
            .iter()
            .filter(|one| wanted(&one.standing))
            .collect()
    };
    let done = of(|standing| *standing == Standing::Done);
    let told = of(|standing| *standing == Standing::Told);
    let waits = of(|standing| *standing == Standing::Waits);
    let failed = of(|standing| matches!(standing, Standing::Failed(_)));
    html! {
        h2 { "Version " (rollout.version) }
        p { "Begun by " (rollout.by) " at " (rollout.begun_at.strftime("%Y-%m-%d %H:%M UTC").to_string()) ", from " code { (rollout.url) } "." }
        @if let Some(why) = &rollout.stopped {
            p.note role="alert" { span.bad { "Stopped: " } (why) }
        } @else if rollout.done_at.is_some() {
            p.note role="status" { span.good { "✓ " } "Every booth has it." }
        } @else {
            p.note role="status" { "Wave " (rollout.wave) ": " (grouped(done.len() as u64)) " of " (grouped(rollout.booths.len() as u64)) " have it." }
        }
        progress max=(rollout.booths.len()) value=(done.len()) aria-label="Booths that have it" {}
        @for (title, booths) in [("Failed", &failed), ("Under way", &told), ("To come", &waits), ("Have it", &done)] {
            @if !booths.is_empty() {
                h3 { (title) ": " (count(booths.len() as u64, "booth", "booths")) }
                ul { @for one in booths.iter().take(MOST_NAMED) { li {
                    a href={ (Base::BESIDE.to("booth/")) (one.booth) } { (one.booth) }
                    @if let Standing::Failed(why) = &one.standing { ": " (why) }
                    @else if let Some(phase) = &one.phase { @if one.standing == Standing::Told { ": " (phase) } }
                } } }
                @if booths.len() > MOST_NAMED { p.soft { "and " (grouped((booths.len() - MOST_NAMED) as u64)) " more" } }
            }
        }
        @if let Some(asking) = asking {
            @if rollout.is_under_way() { (button(asking, "stop", "Stop it")) }
            @if rollout.stopped.is_some() { (button(asking, "go-on", "Go on: what failed is tried again")) }
        }
    }
}

fn button(asking: &Asking, what: &str, word: &str) -> Markup {
    html! {
        form method="post" action=(Base::BESIDE.to("updates")) {
            input type="hidden" name="form_token" value=(asking.form_token);
            button name="do" value=(what) { (word) }
        }
    }
}

fn begin(asking: &Asking, files: &[String]) -> Markup {
    html! {
        h2 { "Begin a rollout" }
        form method="post" action=(Base::BESIDE.to("updates")) {
            input type="hidden" name="form_token" value=(asking.form_token);
            p { label { "Version, as booths say it " input name="version" required; } }
            p {
                label { "Address of the update's file " input name="url" type="url" size="60" list="files" required; }
                @if !files.is_empty() { " " span.soft { "This hub sends:" } }
            }
            datalist id="files" { @for file in files { option value=(file) {} } }
            @if !files.is_empty() { ul { @for file in files { li { code { (file) } } } } }
            p { label { "Booths, in this order, one in a line; none means all" br; textarea name="booths" rows="4" cols="40" {} } }
            button name="do" value="begin" { "Begin with one booth" }
        }
    }
}
