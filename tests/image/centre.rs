//! The city's operations: what a booth says, in the order in which it came, and commands to it; by Mosquitto's own clients.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::machine::Machine;
use super::run;

pub struct Centre {
    listener: Child,
    heard: PathBuf,
    port: String,
    booth: String,
    user: &'static str,
    password: &'static str,
    read: usize,
}

impl Centre {
    /// Hears everything that this booth says from now on, and what the broker keeps of it.
    pub fn listen(
        port: u16,
        booth: &str,
        user: &'static str,
        password: &'static str,
        heard: PathBuf,
    ) -> Self {
        let file = std::fs::File::create(&heard).expect("a file");
        let port = port.to_string();
        let listener = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-u",
                user,
                "-P",
                password,
                "-V",
                "5",
                "-F",
                "%t %p",
            ])
            .args([
                "-t",
                &format!("booth/1/up/{booth}/birth"),
                "-t",
                &format!("booth/1/up/{booth}/event/#"),
            ])
            .args(["-t", &format!("booth/1/up/{booth}/reply/#")])
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .expect("mosquitto_sub is installed by `make image-test`");
        Self {
            listener,
            heard,
            port,
            booth: booth.to_owned(),
            user,
            password,
            read: 0,
        }
    }

    pub fn command(&self, name: &str, payload: &str) {
        let topic = format!("booth/1/dn/{}/cmd/{name}", self.booth);
        run(
            "mosquitto_pub",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &self.port,
                "-u",
                self.user,
                "-P",
                self.password,
                "-V",
                "5",
                "-q",
                "1",
                "-t",
                &topic,
                "-m",
                payload,
            ],
        );
    }

    /// The next message whose topic ends in `tail` and of which this is true; those before it are read with it. It comes from this
    /// machine, by whose clock it is waited for.
    pub fn hear(
        &mut self,
        machine: &mut Machine,
        tail: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        machine.until(&format!("{tail} is heard"), |_| {
            let said = self.next(tail, &is_it);
            if said.is_none() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            said
        })
    }

    fn next(&mut self, tail: &str, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        let heard = std::fs::read_to_string(&self.heard).unwrap_or_default();
        let whole = heard.rfind('\n').map_or("", |end| &heard[..end]);
        for line in whole.lines().skip(self.read) {
            self.read += 1;
            let Some((topic, payload)) = line.split_once(' ') else {
                continue;
            };
            let said: Value = serde_json::from_str(payload).unwrap_or_default();
            if !topic.ends_with("birth") {
                eprintln!("         {line}");
            }
            if topic.ends_with(tail) && is_it(&said) {
                return Some(said);
            }
        }
        None
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}
