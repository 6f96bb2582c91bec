//! The self-test: does the microphone hear, are hook and dial in their resting position, does the card take a write, is the
//! clock right, is the broker there.
//!
//! Owns: the findings, and who hears of them. Never does: decide when the booth tests itself (`gateway_core::booth`), or judge what
//! was heard (`gateway_core::microphone`).

use booth_contract::time::rfc3339;
use serde_json::json;

use super::Gateway;
use crate::status::{Finding, Verdict as Found};
use booth_contract::AlertId;
use booth_contract::time::Mono;
use gateway_core::booth::{Event, Listened};
use gateway_core::health::SpoolFault;
use gateway_core::microphone::Verdict;

/// The area of the self-test's findings among the doctor's.
const AREA: &str = "selftest";
impl Gateway {
    /// Reports a self-test to the centre, and to whoever asked for it.
    pub(super) fn selftested(&mut self, now: Mono, microphone: Verdict, listened: Listened) {
        let sentence = microphone.sentence();
        match listened {
            Listened::NotNow => {}
            Listened::InVain => log::warn!("self-test: {sentence}"),
            Listened::Heard(tone_dbfs) => {
                log::info!(tone_dbfs = tone_dbfs; "self-test: {sentence}")
            }
        }
        let found = self.selftest_findings(microphone);
        let ok = found.iter().all(|finding| finding.verdict == Found::Ok);
        self.booth.selftest_found(now, ok);
        let ok = u8::from(ok);
        self.event("selftest", json!({ "ok": ok, "findings": found }));
        // The asker also gets what the doctor would report.
        let all: Vec<Finding> = found.into_iter().chain(self.findings(now)).collect();
        let ts = rfc3339(self.machine.wall());
        let reply = json!({ "ok": ok, "findings": all, "ts": ts });
        self.decide(now, Event::Tested(reply));
    }

    fn selftest_findings(&self, microphone: Verdict) -> Vec<Finding> {
        let found = |subject, works: Result<String, String>, otherwise: AlertId| match works {
            Ok(sentence) => Finding::ok(AREA, subject, sentence),
            Err(why) => Finding::fault(AREA, subject, why, otherwise.remedy()),
        };
        let heard = match microphone {
            Verdict::Heard => Ok(microphone.sentence().to_owned()),
            Verdict::ToneNotHeard | Verdict::Constant | Verdict::NotMade => {
                Err(microphone.sentence().to_owned())
            }
        };
        let hook = match &self.booth.evidence.handset {
            Err(why) => Err(why.clone()),
            Ok(()) if self.booth.session().is_off_hook() => {
                Err("the handset is off its hook".into())
            }
            Ok(()) => Ok("the handset is on its hook".into()),
        };
        let controls = match self.booth.evidence.controls.as_slice() {
            [] => Ok("dial, keys, lamp and bell are at rest".to_owned()),
            faults => Err(faults.join("; ")),
        };
        let keys = match &self.booth.evidence.stuck_keys {
            None => Ok("every key counts".to_owned()),
            Some(why) => Err(why.clone()),
        };
        let card = match (self.booth.tested_card(), &self.booth.evidence.spool) {
            (Some(Err(why)), _) => Err(why.clone()),
            (_, Err(SpoolFault::Full(why) | SpoolFault::Unwritable(why))) => Err(why.clone()),
            (Some(Ok(())) | None, Ok(())) => Ok("the card takes a write".into()),
        };
        let clock = match self.booth.evidence.clock_synced {
            true => Ok("the clock is synchronised".to_owned()),
            false => Err("the clock is not synchronised".to_owned()),
        };
        let broker = match &self.booth.evidence.broker {
            Ok(()) if self.booth.delivery.is_hub_online() => {
                Ok("the broker and the hub are there".to_owned())
            }
            Ok(()) => Err("the broker is there, the hub is not".into()),
            Err((_, why)) => Err(why.clone()),
        };
        vec![
            found("microphone", heard, AlertId::MicrophoneDead),
            found("hook", hook, AlertId::HookNeverOn),
            found("controls", controls, AlertId::ControlsFaulty),
            found("keys", keys, AlertId::KeyStuck),
            found("card", card, AlertId::SpoolUnwritable),
            found("clock", clock, AlertId::ClockUnset),
            found("centre", broker, AlertId::NotConnected),
        ]
    }
}
