//! A city's Mosquitto (`city`), running until the test ends.

use std::process::{Child, Stdio};

use super::hub::free_port;
use booth_stage::city;
use booth_stage::wait::until;

pub struct CityBroker {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl CityBroker {
    /// With these users and their passwords; it listens.
    pub fn start(users: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        city::write_files(folder.path(), port, users).expect("the broker's files");
        let child = city::broker(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed");
        until("mosquitto listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            child,
            port,
            _folder: folder,
        }
    }
}

impl Drop for CityBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
