//! The booth's GPIO lines: whether each exists, which program holds it, and its level.
//!
//! Owns: the verdicts. Never does: claim a line while a gateway runs; then the kernel names the holder, and the gateway the
//! level.

use crate::adapters::gpio_info::{self, LineFacts};
use crate::adapters::handset_lines::LinesError;
use crate::adapters::{handset, handset_taught};
use crate::config::{Backend, Config};
use crate::status::{Contact, Finding, Status, contacts};

const AREA: &str = "contacts";
/// The names under which the kernel knows the gateway's own requests; rppal's have the crate's name.
const OWN: [&str; 2] = ["booth-gateway", "RPPAL"];

/// Looks at every line; `daemon` is a running gateway's answer, `is_free` says that none runs.
pub(super) fn look(config: &Config, daemon: Option<&Status>, is_free: bool) -> Vec<Finding> {
    let handset = &config.handset;
    if handset.backend == Backend::Sim {
        let sentence = "The handset is simulated: there are no lines.";
        return vec![Finding::ok(AREA, "backend", sentence)];
    }
    let mut all = Vec::new();
    if handset.backend == Backend::Usb {
        if daemon.is_none() && is_free {
            claim(config, &mut all);
        }
        if all.is_empty() {
            let device = handset.usb.device.display();
            all.push(Finding::ok(
                AREA,
                "usb",
                format!("The handset is {device}."),
            ));
        }
        return all;
    }
    let standing = match daemon {
        Some(status) => status.contacts.clone(),
        None if is_free => claim(config, &mut all),
        None => Vec::new(),
    };
    let chip = match gpio_info::chip_of(handset)
        .and_then(|chip| gpio_info::count(&chip).map(|count| (chip, count)))
    {
        Ok((chip, count)) => {
            let sentence = format!("{} has {count} lines.", chip.display());
            all.push(Finding::ok(AREA, "chip", sentence));
            chip
        }
        Err(why) => {
            all.push(Finding::fault(
                AREA,
                "chip",
                why.to_string(),
                "Set [handset] chip to one that `gpiodetect` lists, put the user into the group gpio, or set backend = \"sim\" where there is no GPIO.",
            ));
            return all;
        }
    };
    for (number, key) in handset.lines() {
        let level = standing.iter().find(|contact| contact.name == key);
        all.push(one(&chip, &key, number, level, daemon.is_some()));
    }
    all
}

fn one(
    chip: &std::path::Path,
    key: &str,
    number: u32,
    level: Option<&Contact>,
    is_run: bool,
) -> Finding {
    match gpio_info::line(chip, number) {
        Ok(facts) => judge(&facts, key, number, level, is_run),
        Err(why) => {
            let remedy =
                format!("Correct [handset] {key} in booth.toml; `gpioinfo` lists the lines.");
            Finding::fault(AREA, key, why.to_string(), remedy)
        }
    }
}

fn judge(
    facts: &LineFacts,
    key: &str,
    number: u32,
    level: Option<&Contact>,
    is_run: bool,
) -> Finding {
    let name = match facts.name.is_empty() {
        true => format!("Line {number}"),
        false => format!("Line {number} ({})", facts.name),
    };
    let stands = level.map_or(String::new(), |contact| {
        match (&contact.level, contact.active) {
            (Some(level), Some(1)) => format!("; it is {level}, so active"),
            (Some(level), Some(_)) => format!("; it is {level}, so at rest"),
            _ => String::new(),
        }
    });
    match &facts.held_by {
        None if is_run && level.is_some_and(|contact| contact.active.is_none()) => Finding::fault(
            AREA,
            key,
            format!("{name} is not held by the running gateway."),
            "See the gateway's other faults.",
        ),
        None => Finding::ok(AREA, key, format!("{name} is free{stands}.")),
        Some(holder) if is_run && OWN.iter().any(|own| holder.starts_with(own)) => {
            Finding::ok(AREA, key, format!("{name} is held by the gateway{stands}."))
        }
        Some(holder) => {
            let holder = match holder.is_empty() {
                true => "the kernel or a program without a name".to_owned(),
                false => format!("{holder:?}"),
            };
            Finding::fault(
                AREA,
                key,
                format!("{name} is held by {holder}."),
                format!(
                    "End that program or its device-tree overlay (config.txt), or set [handset] {key} to another line."
                ),
            )
        }
    }
}

/// Claims the lines for a moment, as the gateway would, and reads them.
fn claim(config: &Config, all: &mut Vec<Finding>) -> Vec<Contact> {
    let read = || -> Result<_, LinesError> {
        let (backend, mut lines) = handset::open(&config.handset, None)?;
        let levels = lines.levels()?;
        Ok((backend, levels, lines.refused().to_vec()))
    };
    match read() {
        Ok((backend, levels, refused)) => {
            let sentence = format!("The lines can be claimed and read ({backend}).");
            all.push(Finding::ok(AREA, "backend", sentence));
            let remedy = "Correct the line in [handset] of booth.toml, or end who holds it.";
            let faults = refused.iter();
            all.extend(faults.map(|why| Finding::fault(AREA, "claim", why, remedy)));
            let taught = config.spool.dir.join("hook");
            let hook = config.handset.hook.off_hook;
            let is_inverted = handset_taught::is_inverted(&taught, hook);
            let is_inverted = is_inverted.unwrap_or_else(|why| {
                let remedy =
                    "Look at the card: booth-gateway doctor says more of it under \"card\".";
                all.push(Finding::fault(AREA, "hook", why.to_string(), remedy));
                false
            });
            contacts(&config.handset, &levels, is_inverted)
        }
        Err(why) => {
            let remedy = "Check [handset] in booth.toml, the wiring, and that the user is in the group gpio.";
            all.push(Finding::fault(AREA, "backend", why.to_string(), remedy));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    #[test]
    fn a_line_is_well_if_it_is_free_or_the_running_gateways_and_its_holder_is_named_otherwise() {
        let judged = |holder: Option<&str>, active, is_run| {
            let facts = LineFacts {
                name: "GPIO17".into(),
                held_by: holder.map(str::to_owned),
            };
            let level = Contact {
                name: "hook".into(),
                line: Some(17),
                level: Some("low".into()).filter(|_| active == Some(1)),
                active,
            };
            let found = judge(&facts, "hook", 17, Some(&level), is_run);
            (found.verdict, found.sentence)
        };
        let (verdict, sentence) = judged(Some("booth-gateway"), Some(1), true);
        assert_eq!(verdict, Verdict::Ok);
        assert_eq!(
            sentence,
            "Line 17 (GPIO17) is held by the gateway; it is low, so active."
        );
        assert_eq!(judged(Some("RPPAL"), Some(1), true).0, Verdict::Ok);
        assert_eq!(judged(None, Some(1), false).0, Verdict::Ok);
        for (holder, active, is_run) in [
            (Some("w1"), None, true),
            (Some("w1"), None, false),
            (Some("booth-gateway"), None, false),
            (Some(""), None, false),
            // A gateway runs and does not hold its own line.
            (None, None, true),
        ] {
            let (verdict, sentence) = judged(holder, active, is_run);
            assert_eq!(verdict, Verdict::Fault, "{holder:?}: {sentence}");
        }
        assert!(judged(Some("w1"), None, false).1.contains("held by \"w1\""));
    }
}
