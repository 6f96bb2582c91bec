//! A booth's values under names and in units by Prometheus' rules.
//!
//! Owns: for each value of health (contract §3.2) its family, its kind, the factor to the base unit, and what it means. Pure. Never does: take
//! a name from a message: what is not in this table is not told.

use prometheus_client::metrics::MetricType::{self, Counter, Gauge};

const MS: f64 = 0.001;
const PERCENT: f64 = 0.01;
const MB: f64 = 1_000_000.0;
const MIB: f64 = 1_048_576.0;
const DAY: f64 = 86_400.0;

/// One value of health as Prometheus knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// Its name in the contract.
    pub(super) said: &'static str,
    pub(super) kind: MetricType,
    /// Its family, with its unit and without `_total`.
    pub(super) family: &'static str,
    /// The contract's number times this is in the base unit.
    pub(super) factor: f64,
    pub(super) help: &'static str,
}

const fn value(
    said: &'static str,
    kind: MetricType,
    family: &'static str,
    factor: f64,
    help: &'static str,
) -> Value {
    Value {
        said,
        kind,
        family,
        factor,
        help,
    }
}

/// Every value of health, in the contract's order.
#[rustfmt::skip]
pub(super) const VALUES: [Value; 69] = [
    value("ready", Gauge, "booth_ready", 1.0, "Whether a citizen can speak now: 1 or 0."),
    value("ready_after_s", Gauge, "booth_ready_after_seconds", 1.0, "Time from the kernel's start to the first moment of this boot at which a citizen could speak."),
    value("ts", Gauge, "booth_health_said_timestamp_seconds", 1.0, "When the last health was said by the booth's clock since 1970."),
    value("health_interval_s", Gauge, "booth_health_interval_seconds", 1.0, "How often the booth says health."),
    value("up_s", Gauge, "booth_program_up_seconds", 1.0, "Time since the start of the booth's program."),
    value("boot_count", Counter, "booth_boots", 1.0, "Starts of the machine with this card."),
    value("clock_synced", Gauge, "booth_clock_synchronised", 1.0, "Whether the booth's clock is synchronised: 1 or 0."),
    value("cpu_temp_c", Gauge, "booth_cpu_temperature_celsius", 1.0, "The hottest sensor of the processor."),
    value("load1", Gauge, "booth_load1", 1.0, "Load average over one minute."),
    value("mem_free_mb", Gauge, "booth_memory_available_bytes", MIB, "Available memory."),
    value("rss_mb", Gauge, "booth_program_resident_memory_bytes", MIB, "Resident memory of the booth's program."),
    value("throttled_now", Gauge, "booth_throttled", 1.0, "Whether the firmware limits the processor now: 1 or 0."),
    value("throttled_since_boot", Gauge, "booth_throttled_since_boot", 1.0, "Whether it has limited the processor since the boot: 1 or 0."),
    value("undervolt_count", Counter, "booth_undervoltages", 1.0, "Dips of the supply voltage since the start of the booth's program."),
    value("data_free_mb", Gauge, "booth_data_free_bytes", MB, "Room beside the spool."),
    value("data_used_pct", Gauge, "booth_data_used_ratio", PERCENT, "How full the spool's file system is."),
    value("root_ro", Gauge, "booth_root_read_only", 1.0, "Whether the root file system is read-only: 1 or 0."),
    value("sd_written_mb", Counter, "booth_card_written_bytes", MB, "Written to the card since the start of the booth's program."),
    value("sd_written_mb_today", Gauge, "booth_card_written_today_bytes", MB, "Written to the card since the booth's midnight."),
    value("sd_io_errors", Counter, "booth_card_errors", 1.0, "Operations that the card refused and errors that its file system has noted."),
    value("fsync_p95_ms", Gauge, "booth_card_sync_p95_seconds", MS, "Nineteen of twenty syncs of the card took no longer."),
    value("spool_clips", Gauge, "booth_spool_clips", 1.0, "Finished clips on the card without the quarantine."),
    value("spool_bytes", Gauge, "booth_spool_bytes", 1.0, "What the clips on the card take with recordings that run."),
    value("oldest_unsent_s", Gauge, "booth_oldest_unsent_seconds", 1.0, "Age of the oldest clip on the card that the hub has not confirmed."),
    value("last_clip_no", Gauge, "booth_last_clip_number", 1.0, "The highest clip number of the card."),
    value("oldest_clip_no_kept", Gauge, "booth_oldest_clip_number", 1.0, "The lowest clip number that is still on the card."),
    value("quarantined_clips", Gauge, "booth_quarantined_clips", 1.0, "Clips in quarantine on the card."),
    value("parts_sent", Counter, "booth_parts_sent", 1.0, "Parts of clips handed to the connection since the start of the booth's program."),
    value("parts_resent", Counter, "booth_parts_resent", 1.0, "Parts that had been sent before."),
    value("tx_bytes_today", Gauge, "booth_sent_today_bytes", 1.0, "Bytes handed to the connection since the booth's midnight."),
    value("reconnects", Counter, "booth_reconnects", 1.0, "Connections since the start of the booth's program that followed a lost one."),
    value("wifi_rssi_dbm", Gauge, "booth_wifi_signal_dbm", 1.0, "Signal of the wireless interface in dBm."),
    value("link_up", Gauge, "booth_link_up", 1.0, "Whether any network interface has a link: 1 or 0."),
    value("capture_ok", Gauge, "booth_capture_ok", 1.0, "Whether frames arrive from the microphone: 1 or 0."),
    value("playback_ok", Gauge, "booth_playback_ok", 1.0, "Whether the earpiece takes samples: 1 or 0."),
    value("offhook", Gauge, "booth_off_hook", 1.0, "Whether the handset is off its hook: 1 or 0."),
    value("offhook_s", Gauge, "booth_off_hook_seconds", 1.0, "For how long the handset has been off its hook."),
    value("recording", Gauge, "booth_recording", 1.0, "Whether a message is being recorded: 1 or 0."),
    value("in_service", Gauge, "booth_in_service", 1.0, "Whether a technician is at the booth or has closed the card: 1 or 0."),
    value("hook_toggles_1h", Gauge, "booth_hook_edges_last_hour", 1.0, "Edges of the hook switch within the last hour."),
    value("last_lift_age_s", Gauge, "booth_last_lift_age_seconds", 1.0, "Time since the handset was lifted last."),
    value("last_clip_age_s", Gauge, "booth_last_clip_age_seconds", 1.0, "Time since a clip was kept last."),
    value("mic_rms_dbfs", Gauge, "booth_last_clip_loudness_dbfs", 1.0, "Loudness of the last clip in dB below full scale."),
    value("mic_clip_pct", Gauge, "booth_last_clip_clipped_ratio", PERCENT, "How much of the last clip was too loud for the microphone."),
    value("mic_silence_pct", Gauge, "booth_last_clip_silence_ratio", PERCENT, "How much of the last clip was silence."),
    value("silent_clips_in_row", Gauge, "booth_silent_clips_in_row", 1.0, "Clips in a row in which nobody was heard."),
    value("selftest_ok", Gauge, "booth_selftest_ok", 1.0, "Whether the latest self-test found everything well: 1 or 0."),
    value("selftest_age_s", Gauge, "booth_selftest_age_seconds", 1.0, "Age of the latest self-test."),
    value("xruns", Counter, "booth_xruns", 1.0, "Overruns and underruns of the sound card since the start of the booth's program."),
    value("watchdog_resets", Counter, "booth_watchdog_resets", 1.0, "Boots of this card that a watchdog's reset caused."),
    value("cert_days_left", Gauge, "booth_certificate_left_seconds", DAY, "Whole days until the booth's first certificate ends; negative once it has ended."),
    value("key_days_left", Gauge, "booth_key_left_seconds", DAY, "Whole days until the last day of the city's present key; negative once it is over."),
    value("faults", Gauge, "booth_alerts", 1.0, "Alerts that are raised as the booth counts them."),
    value("lifts_total", Counter, "booth_lifts", 1.0, "Lifts of the handset since the card's first start."),
    value("lifts_today", Gauge, "booth_lifts_today", 1.0, "Lifts of the handset since the booth's midnight."),
    value("clips_total", Counter, "booth_clips", 1.0, "Recordings that were kept since the card's first start."),
    value("clips_today", Gauge, "booth_clips_today", 1.0, "Recordings that were kept since the booth's midnight."),
    value("choices_total", Counter, "booth_choices", 1.0, "Choices by digit since the card's first start."),
    value("choices_today", Gauge, "booth_choices_today", 1.0, "Choices by digit since the booth's midnight."),
    value("refused_total", Counter, "booth_refusals", 1.0, "Goodbyes without a choice since the card's first start."),
    value("refused_today", Gauge, "booth_refusals_today", 1.0, "Goodbyes without a choice since the booth's midnight."),
    value("left_early_total", Counter, "booth_left_early", 1.0, "Visits that ended before a choice since the card's first start."),
    value("left_early_today", Gauge, "booth_left_early_today", 1.0, "Visits that ended before a choice since the booth's midnight."),
    value("discarded_total", Counter, "booth_discarded_takes", 1.0, "Takes that were too short since the card's first start."),
    value("discarded_today", Gauge, "booth_discarded_takes_today", 1.0, "Takes that were too short since the booth's midnight."),
    value("emergency_dialled_total", Counter, "booth_emergency_dialled", 1.0, "Emergency numbers that were dialled since the card's first start."),
    value("emergency_dialled_today", Gauge, "booth_emergency_dialled_today", 1.0, "Emergency numbers that were dialled since the booth's midnight."),
    value("wrong_codes_total", Counter, "booth_wrong_codes", 1.0, "Wrong service codes since the card's first start."),
    value("wrong_codes_today", Gauge, "booth_wrong_codes_today", 1.0, "Wrong service codes since the booth's midnight."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use booth_contract::Health;

    use super::*;

    #[test]
    fn every_value_of_the_contract_has_a_family_of_its_own_and_no_other_has_one() {
        let said: Vec<&str> = VALUES.iter().map(|value| value.said).collect();
        assert_eq!(said, Health::NAMES);
        let families: BTreeSet<&str> = VALUES.iter().map(|value| value.family).collect();
        assert_eq!(families.len(), VALUES.len());
    }

    #[test]
    fn units_are_base_units_and_named_last() {
        for value in VALUES {
            let unit = match value.said {
                said if said.ends_with("_dbm") => "_dbm",
                said if said.ends_with("_dbfs") => "_dbfs",
                said if said.ends_with("_pct") => "_ratio",
                said if said.ends_with("_c") => "_celsius",
                said if said.contains("_mb") || said.contains("_bytes") => "_bytes",
                said if said.ends_with("_s")
                    || said.ends_with("_ms")
                    || said.ends_with("_days_left") =>
                {
                    "_seconds"
                }
                "ts" => "_seconds",
                _ => "",
            };
            assert!(value.family.ends_with(unit), "{value:?}");
            assert!(
                !value.family.ends_with("_total"),
                "{value:?}: the text adds it"
            );
            for word in ["_ms", "_mb", "_pct", "_percent", "_days", "_minutes"] {
                assert!(!value.family.ends_with(word), "{value:?}");
            }
            assert!(value.help.ends_with('.'), "{value:?}");
            assert!(
                !value.said.ends_with("_total") || value.kind == Counter,
                "{value:?}"
            );
        }
    }
}
