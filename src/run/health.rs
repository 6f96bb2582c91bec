//! The health message: what was measured and counted, as one struct (contract §3.2).
//!
//! Owns: which part of the booth says which value. Never does: measure while it reports, or read the card; the reader measures
//! the machine (`run::reader`), and what it found is taken up once, in [`Gateway::measured`].

use std::sync::atomic::Ordering::Relaxed;

use super::Gateway;
use super::reader::{Measured, certificate_file};
use crate::adapters::mqtt::Kind;
use booth_contract::time::Mono;
use booth_contract::{Health, Topic, finite};
use booth_spool::Spool;
use gateway_core::health::Certificate;

/// At this temperature and above the processor is too hot, °C; the firmware throttles it from 80 on.
const HOT_C: f64 = 80.0;
/// Below this it is cool again.
const COOL_C: f64 = 75.0;

/// What the process has written, by local days.
#[derive(Default)]
pub(super) struct Written {
    /// The local day, and what had been written when it began, MB.
    midnight: Option<(i64, f64)>,
    /// Since local midnight, or since the process's start if that is later, MB.
    today_mb: Option<f64>,
}

impl Written {
    /// Takes what the process has written since its start, MB.
    fn measured(&mut self, written_mb: Option<f64>, today: i64) {
        self.today_mb = written_mb.map(|written| {
            let before = match self.midnight {
                // The first reading of a process starts at nothing written.
                None => 0.0,
                Some((day, before)) if day == today => before,
                Some(_) => written,
            };
            self.midnight = Some((today, before));
            rounded(written - before, 10.0)
        });
    }
}

/// Rounded to a fraction of one.
fn rounded(value: f64, parts_of_one: f64) -> f64 {
    (value * parts_of_one).round() / parts_of_one
}

impl Gateway {
    /// Takes up what the machine said of itself.
    pub(super) fn measured(&mut self, measured: Measured) {
        let readings = &measured.readings;
        if let Some(celsius) = readings.cpu_temp_c {
            // Once too hot, the processor has to cool down well below that, so that the alert does not flap.
            let limit = if self.booth.evidence.too_hot {
                COOL_C
            } else {
                HOT_C
            };
            self.booth.evidence.too_hot = celsius >= limit;
        }
        self.written.measured(readings.written_mb, self.local_day());
        self.measured = measured;
        self.renew_evidence();
    }

    /// What is known without reading anything: a reader that hangs on its card keeps neither the card's own refusals nor a clock that has become
    /// right from the alerts.
    fn renew_evidence(&mut self) {
        self.booth.evidence.certificate = self.certificate(&self.measured);
        self.booth.evidence.key = self.key_life();
        self.booth.evidence.disk_errors = self
            .disk_errors()
            .unwrap_or(self.booth.evidence.disk_errors);
    }

    /// The certificate that ends first. With a clock that may be wrong it is not known.
    fn certificate(&self, measured: &Measured) -> Option<Certificate> {
        if !self.machine.clock_synced() {
            return None;
        }
        let (file, ends) = (certificate_file(&self.config)?, measured.certificate_ends?);
        let seconds = ends.as_second() - self.machine.wall().as_second();
        Some(Certificate {
            file: file.display().to_string(),
            ends: ends.strftime("%Y-%m-%d").to_string(),
            days_left: seconds.div_euclid(24 * 3600),
        })
    }

    /// The card's refusals to this program, and the errors that the kernel has noted about its file system.
    fn disk_errors(&self) -> Option<u64> {
        let refused = self
            .spool
            .as_ref()
            .map(|spool| spool.disk_stats().io_errors);
        let noted = self.measured.readings.ext4_errors;
        (refused.is_some() || noted.is_some())
            .then(|| refused.unwrap_or(0).saturating_add(noted.unwrap_or(0)))
    }

    pub(super) fn publish_health(&mut self, now: Mono) {
        self.booth.counters.turn_to(self.local_day());
        self.renew_evidence();
        let payload = self.health(now).to_json();
        self.publish(
            &Topic::Health(self.config.booth.id.clone()),
            payload,
            Kind::Statement,
            Some(Health::EXPIRY_S),
        );
    }

    /// The health message; what this machine cannot know is not in it.
    fn health(&self, now: Mono) -> Health {
        let mut health = Health::default();
        self.health_of_the_booth(now, &mut health);
        self.health_of_the_machine(&mut health);
        if let Some(spool) = &self.spool {
            self.health_of_the_card(spool, &mut health);
        }
        self.health_of_delivery(now, &mut health);
        self.health_of_the_handset(now, &mut health);
        self.health_of_sound(now, &mut health);
        self.booth.counters.report(&mut health);
        health
    }

    fn health_of_the_booth(&self, now: Mono, health: &mut Health) {
        health.ready = Some(self.is_ready());
        health.ready_after_s = self
            .booth
            .first_ready()
            .map(|at| rounded(at.0 as f64 / 1_000.0, 10.0));
        health.ts = Some(self.machine.wall().as_second() as f64);
        health.health_interval_s = Some(self.config.health.interval_s);
        health.up_s = Some(now.since(self.booth.evidence.started).as_secs());
        health.boot_count = Some(self.speaker().boot_count);
        health.clock_synced = Some(self.machine.clock_synced());
        health.in_service =
            Some(self.booth.session().is_in_service() || self.booth.evidence.card_closed);
        health.key_days_left = self.key_life().map(|key| key.days_left as f64);
        health.faults = Some(self.booth.alerts().len() as u64);
        if let Some((at, ok)) = self.booth.latest_selftest() {
            health.selftest_ok = Some(ok);
            health.selftest_age_s = Some(age_s(now, at));
        }
    }

    fn health_of_the_machine(&self, health: &mut Health) {
        let readings = &self.measured.readings;
        health.cpu_temp_c = readings.cpu_temp_c;
        health.load1 = readings.load1;
        health.mem_free_mb = readings.mem_free_mb;
        health.rss_mb = readings.rss_mb;
        health.root_ro = readings.root_ro;
        health.wifi_rssi_dbm = readings.wifi_rssi_dbm;
        health.link_up = readings.link_up;
        health.sd_written_mb = readings.written_mb;
        health.sd_written_mb_today = self.written.today_mb;
        health.data_used_pct = readings.data_used_pct;
        health.sd_io_errors = self.disk_errors();
        let power = &self.booth.evidence.power;
        health.throttled_now = power.throttled_now();
        health.throttled_since_boot = power.throttled_since_boot();
        health.undervolt_count = power.undervolt_count();
        let resets = self.booth.counters.watchdog_resets();
        let is_known = resets > 0 || self.machine.watchdog_reset().is_some();
        health.watchdog_resets = is_known.then_some(resets);
        let certificate = self.booth.evidence.certificate.as_ref();
        health.cert_days_left = certificate.map(|certificate| certificate.days_left as f64);
    }

    fn health_of_the_card(&self, spool: &Spool, health: &mut Health) {
        let (clips, oldest) = spool.holdings();
        let megabytes = |bytes: u64| rounded(bytes as f64 / 1_000_000.0, 10.0);
        health.data_free_mb = self.measured.free_bytes.map(megabytes);
        health.spool_clips = Some(clips as u64);
        health.spool_bytes = Some(spool.used_bytes());
        health.quarantined_clips = Some(spool.quarantined() as u64);
        health.last_clip_no = Some(spool.last_clip_no());
        health.oldest_clip_no_kept = oldest;
        let p95_ms = spool.disk_stats().fsync_p95_ms;
        health.fsync_p95_ms = p95_ms.map(|ms| rounded(ms, 100.0));
    }

    fn health_of_delivery(&self, now: Mono, health: &mut Health) {
        let oldest = self.booth.delivery.oldest_unsent(now);
        health.oldest_unsent_s = Some(oldest.map_or(0, |age| age.as_secs()));
        let figures = self.booth.delivery.figures();
        health.parts_sent = Some(figures.parts_sent);
        health.parts_resent = Some(figures.parts_resent);
        health.reconnects = Some(self.booth.reconnects());
        health.tx_bytes_today = Some(self.booth.counters.sent_today());
    }

    fn health_of_the_handset(&self, now: Mono, health: &mut Health) {
        let lift_age_s = self.lifted_at.map(|at| age_s(now, at));
        health.offhook = Some(self.booth.session().is_off_hook());
        health.offhook_s = lift_age_s.filter(|_| self.booth.session().is_off_hook());
        health.last_lift_age_s = lift_age_s;
        health.recording = Some(self.booth.session().is_recording());
        let has_lines = self.handset.is_some();
        health.hook_toggles_1h = has_lines.then(|| self.view.hook_toggles_1h.load(Relaxed));
    }

    fn health_of_sound(&self, now: Mono, health: &mut Health) {
        health.capture_ok = Some(self.booth.evidence.capture.is_ok());
        health.playback_ok = Some(self.booth.evidence.playback.is_ok());
        health.xruns = Some(self.capture_figures.xruns.load(Relaxed));
        health.silent_clips_in_row = Some(self.booth.silent_clips_in_row());
        let clipped_pct = self.last_clipped_pct;
        health.mic_clip_pct = clipped_pct.map(|pct| rounded(pct, 100.0));
        if let Some((at, clip)) = &self.last_clip {
            health.last_clip_age_s = Some(age_s(now, *at));
            health.mic_rms_dbfs = clip.rms_dbfs.and_then(finite);
            let silence_pct = |ratio: f64| ((1.0 - ratio) * 100.0).round();
            health.mic_silence_pct = clip.speech_ratio.map(silence_pct);
        }
    }
}

/// Whole seconds since then.
fn age_s(now: Mono, at: Mono) -> f64 {
    now.since(at).as_secs() as f64
}
