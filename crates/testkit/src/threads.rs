//! What each thread of a running program has used.
#![allow(clippy::disallowed_methods)] // it reads what the kernel counts

use std::collections::BTreeMap;

/// CPU seconds by thread.
#[derive(Debug, Clone, Default)]
pub struct Cpu(BTreeMap<String, f64>);

/// cpal's ALSA workers and the threads that PulseAudio's ALSA plug-in starts beside them. Both spin at times, and neither
/// says anything about a kernel sound card, which has no such plug-in.
const PLUGIN: [&str; 2] = ["cpal_alsa", "threaded-ml"];

impl Cpu {
    /// So far.
    pub fn of(pid: u32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks");
        let mut by_thread = BTreeMap::new();
        for task in tasks.flatten() {
            let read = |file: &str| std::fs::read_to_string(task.path().join(file)).ok();
            // A thread may end while it is looked at.
            let (Some(name), Some(used)) = (read("comm"), read("schedstat")) else {
                continue;
            };
            let ns = used.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            *by_thread.entry(name.trim().to_owned()).or_insert(0.0) += ns.expect("ns") / 1e9;
        }
        Self(by_thread)
    }

    /// What was used since `before`, times `scale`.
    pub fn since(&self, before: &Cpu, scale: f64) -> Self {
        let used = |name: &String| self.0[name] - before.0.get(name).unwrap_or(&0.0);
        let names = self.0.keys();
        Self(
            names
                .map(|name| (name.clone(), used(name) * scale))
                .collect(),
        )
    }

    /// Of the threads that are ours.
    pub fn own(&self) -> f64 {
        self.sum(|name| !Self::is_plugin(name))
    }

    /// Of the sound card's stand-in.
    pub fn plugin(&self) -> f64 {
        self.sum(Self::is_plugin)
    }

    /// Of threads of this name.
    pub fn thread(&self, name: &str) -> f64 {
        self.sum(|other| other == name)
    }

    fn is_plugin(name: &str) -> bool {
        PLUGIN.iter().any(|plugin| name.starts_with(plugin))
    }

    fn sum(&self, counts: impl Fn(&str) -> bool) -> f64 {
        let counted = self.0.iter().filter(|(name, _)| counts(name));
        counted.map(|(_, seconds)| seconds).sum()
    }
}
