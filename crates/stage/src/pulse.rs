//! A sound card without hardware: a private PulseAudio with a line into the microphone and an ear, or several of
//! both, one pair for each booth of a street.
#![allow(clippy::disallowed_methods)] // it starts programs in folders of their own

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::session::{Leash, in_own_session};
use super::wait;

/// The ALSA name of the microphone.
pub const MIC: &str = "booth_mic";
/// The ALSA name of the earpiece.
pub const EAR: &str = "booth_ear";

/// The ALSA name of their mixer; its controls are `Capture` and `Master`.
pub const MIXER: &str = "booth_mixer";

/// What a start waits for.
const ANSWERS: &str = "PulseAudio answers";

/// Somebody who listens at the earpiece.
pub struct Ear(Child);

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody who speaks.
pub struct Citizen(Child);

impl Drop for Citizen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ALSA names of the microphone and the earpiece of one of several booths.
pub fn names_of(booth: usize) -> (String, String) {
    (
        format!("{MIC}{}", suffix(booth)),
        format!("{EAR}{}", suffix(booth)),
    )
}

/// The first booth's names carry no number.
fn suffix(booth: usize) -> String {
    match booth {
        0 => String::new(),
        other => format!("_{other}"),
    }
}

/// What ALSA is told, whole: without alsa.conf, whose hook for PulseAudio makes two connections more for each opening; a busy
/// server refuses some of more than five at once. `null` and `hw` are what a test's own cards are made of.
const ASOUND: &str = "pcm.null { type null }\n\
    ctl.hw { @args [ CARD ] @args.CARD { type string default \"0\" } type hw card $CARD }\n";

/// A running PulseAudio; ended with the value. End its users before it: drop it last.
pub struct Pulse {
    server: Server,
    folder: tempfile::TempDir,
    booths: usize,
    shared_memory: bool,
}

/// Its process.
struct Server {
    child: Child,
    _leash: Leash,
}

impl Server {
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("told");
    }
}

impl Pulse {
    /// Starts it in a folder of its own, for one booth.
    pub fn start() -> Self {
        Self::for_booths(1)
    }

    /// The same for a person who watches: it is waited for longer, and that is said.
    pub fn start_patiently() -> Self {
        let mut pulse = Self::begin(1, false);
        wait::patiently(ANSWERS, || pulse.has_answered());
        pulse
    }

    /// As on a laptop: it shares memory with its users. When such a server dies, libpulse may block for ever.
    pub fn with_shared_memory() -> Self {
        Self::serving(1, true)
    }

    /// With a line and an ear for each of so many booths.
    pub fn for_booths(booths: usize) -> Self {
        Self::serving(booths, false)
    }

    fn serving(booths: usize, shared_memory: bool) -> Self {
        let mut pulse = Self::begin(booths, shared_memory);
        pulse.answers();
        pulse
    }

    fn begin(booths: usize, shared_memory: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a folder");
        let mut asound = ASOUND.to_owned();
        for booth in 0..booths {
            let n = suffix(booth);
            // With `handle_underrun` the plug-in would make a new stream of each underrun.
            asound += &format!(
                "ctl.{MIXER}{n} {{ type pulse source \"line{n}.monitor\" sink \"ear{n}\" }}\n\
                 pcm.{MIC}{n} {{ type pulse device \"line{n}.monitor\" handle_underrun 0 \
                 hint {{ show on description \"booth mic\" }} }}\n\
                 pcm.{EAR}{n} {{ type pulse device \"ear{n}\" handle_underrun 0 \
                 hint {{ show on description \"booth ear\" }} }}\n"
            );
        }
        std::fs::write(folder.path().join("asound.conf"), asound).expect("a file");
        let server = serve(folder.path(), booths, shared_memory);
        Self {
            server,
            folder,
            booths,
            shared_memory,
        }
    }

    fn answers(&mut self) {
        wait::until(ANSWERS, || self.has_answered());
    }

    fn has_answered(&mut self) -> Option<String> {
        if let Ok(Some(status)) = self.server.child.try_wait() {
            let log = std::fs::read_to_string(self.folder.path().join("pulse.log"));
            panic!("PulseAudio ended with {status}; is the package pulseaudio installed? {log:?}");
        }
        self.pactl(&["info"])
    }

    /// What a program needs in its environment to use this card.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        environment(self.folder.path())
    }

    /// What `pactl` says, if it is content.
    pub fn pactl(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("pactl")
            .args(arguments)
            .envs(self.environment())
            .stderr(Stdio::null())
            .output()
            .expect("pactl runs: is the package pulseaudio-utils installed?");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The microphone of the first booth gives no frames, and no error either, until it is woken.
    pub fn silence_microphone(&self, is_dead: bool) {
        let state = if is_dead { "1" } else { "0" };
        let done = self.pactl(&["suspend-sink", "line", state]);
        done.expect("the line is there");
    }

    /// Somebody who speaks a recording into the microphone of one of several booths, until it ends or the value is dropped.
    pub fn citizen(&self, booth: usize, file: &Path) -> Citizen {
        let speaking = Command::new("paplay")
            .args(["-d", &format!("line{}", suffix(booth))])
            .arg(file)
            .envs(self.environment())
            .stdin(Stdio::null())
            .spawn()
            .expect("paplay runs");
        Citizen(speaking)
    }

    /// Speaks a recording into the microphone, to its end.
    pub fn speak(&self, file: &Path) {
        let status = Command::new("paplay")
            .args(["-d", "line"])
            .arg(file)
            .envs(self.environment())
            .stdin(Stdio::null())
            .status()
            .expect("paplay runs");
        assert!(status.success(), "paplay failed");
    }

    /// Listens at the ear: raw 48 kHz mono 16-bit samples into a file, until the value is dropped.
    pub fn listen(&self, into: &Path) -> Ear {
        let file = std::fs::File::create(into).expect("a file");
        let parec = Command::new("parec")
            .args(["-d", "ear.monitor", "--rate=48000", "--channels=1"])
            .args(["--format=s16le", "--latency-msec=20"])
            .envs(self.environment())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("parec runs");
        Ear(parec)
    }

    /// Lets the microphone hear the earpiece, as the two in one handset do, until the answer is given to
    /// [`Pulse::uncouple`].
    pub fn couple(&self) -> String {
        let loopback = ["load-module", "module-loopback", "source=ear.monitor"];
        let into = ["sink=line", "latency_msec=60", "adjust_time=0"];
        let module = self.pactl(&[&loopback[..], &into[..]].concat());
        module.expect("a loopback").trim().to_owned()
    }

    /// Ends what [`Pulse::couple`] began.
    pub fn uncouple(&self, module: &str) {
        self.pactl(&["unload-module", module]).expect("unloaded");
    }

    /// Pulls the plug of the whole card.
    pub fn unplug(&mut self) {
        self.server.kill();
        let _ = std::fs::remove_file(self.folder.path().join("pulse.sock"));
    }

    /// Plugs it in again.
    pub fn plug(&mut self) {
        self.server = serve(self.folder.path(), self.booths, self.shared_memory);
        self.answers();
    }

    /// The server stands still: it takes connections and answers nobody.
    pub fn stall(&self) {
        self.server.signal(rustix::process::Signal::STOP);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.server.signal(rustix::process::Signal::CONT);
    }
}

fn serve(folder: &Path, booths: usize, shared_memory: bool) -> Server {
    let log = std::fs::File::create(folder.join("pulse.log")).expect("a file");
    let socket = folder.join("pulse.sock");
    let module = |text: String| ["-L".to_owned(), text];
    let sink = |name: &str| {
        module(format!(
            "module-null-sink sink_name={name} rate=48000 channels=1 format=s16le norewinds=1"
        ))
    };
    let mut command = in_own_session("pulseaudio");
    for booth in 0..booths {
        let n = suffix(booth);
        command
            .args(sink(&format!("line{n}")))
            .args(sink(&format!("ear{n}")));
    }
    let child = command
        .args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--disallow-exit",
            &format!("--disable-shm={}", !shared_memory),
        ])
        .args(["--realtime=no", "--high-priority=no", "--log-target=stderr"])
        .args(module(format!(
            "module-native-protocol-unix socket={} auth-anonymous=1",
            socket.display()
        )))
        .envs(environment(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("setsid runs: it is in every Debian");
    let _leash = Leash::on(child.id());
    Server { child, _leash }
}

fn environment(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        (
            "PULSE_SERVER",
            format!("unix:{}", folder.join("pulse.sock").display()).into(),
        ),
        ("XDG_RUNTIME_DIR", folder.to_owned()),
        ("HOME", folder.join("home")),
        ("ALSA_CONFIG_PATH", folder.join("asound.conf")),
    ]
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.server.kill();
    }
}
