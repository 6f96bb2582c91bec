//! A real S3 server, moto, as an unprivileged user on a loopback port.
//!
//! Owns: starting the server, its buckets, ending it by its id. Never does: listen to a network, or keep anything beyond its life. Where
//! it is not installed, that is said once and loudly ([`Server::start`]).
#![allow(clippy::disallowed_methods)] // starts a program, and looks for it

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mosquitto::free_port;
use super::program::Program;
use super::wait::wait_for;

/// How it is installed.
const REMEDY: &str =
    "python3 -m venv target/moto && target/moto/bin/pip install 'moto[server,s3]==5.2.5'";
/// Debian's user and group without rights.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// A server.
pub struct Server {
    port: u16,
    program: Program,
}

impl Server {
    /// Starts one. `None`, and a line that says so, where it is not installed.
    ///
    /// # Errors
    /// A server that does not start, with its last words.
    pub fn start(what: &str) -> Result<Option<Self>, String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let server: PathBuf = repository.join("target/moto/bin/moto_server");
        if !server.is_file() {
            let line = format!("!! {what}: NOT RUN, moto is not installed ({REMEDY})\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return Ok(None);
        }
        let port = free_port()?;
        let mut command = match rustix::process::geteuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={}", NOBODY.0))
                    .arg(format!("--regid={}", NOBODY.1))
                    .args(["--clear-groups", "--no-new-privs"])
                    .arg(&server);
                command
            }
            false => Command::new(&server),
        };
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .current_dir("/")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HOME", "/nonexistent");
        let program = Program::start("moto", &mut command)?;
        let mut server = Self { port, program };
        wait_for("moto answers", || {
            (!server.program.is_running() || server.ask("GET", "/").is_ok()).then_some(())
        })?;
        if server.program.ended().is_some() {
            server.program.kill();
            if server.program.tail().contains("Permission denied") {
                let line = format!(
                    "!! {what}: NOT RUN, the user nobody may not run what is in target/moto: make it with Debian's own python3 ({REMEDY})\n"
                );
                let _ = std::io::stderr().write_all(line.as_bytes());
                return Ok(None);
            }
            return Err(format!("moto ended at once; {}", server.program.tail()));
        }
        Ok(Some(server))
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    /// What the server says.
    pub fn make_bucket(&self, name: &str) -> Result<(), String> {
        let said = self.ask("PUT", &format!("/{name}"))?;
        match said.starts_with("HTTP/1.1 200") {
            true => Ok(()),
            false => Err(said),
        }
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).map_err(failed)?;
        // The server takes the service from the name of the key.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=hub/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        connection.write_all(request.as_bytes()).map_err(failed)?;
        let mut said = String::new();
        connection.read_to_string(&mut said).map_err(failed)?;
        Ok(said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.program.kill();
    }
}
