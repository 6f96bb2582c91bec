//! A PostgreSQL of Debian's, as an unprivileged user, on a socket in a folder of its own, or on this machine's loopback with TLS.
//!
//! Owns: starting the server on an empty cluster, its databases, stopping it by its id. Never does: touch a server of the machine, or listen to a
//! network beyond it. Where Debian's package is missing, that is said once and loudly ([`Server::start`]).
#![allow(clippy::disallowed_methods)] // starts programs, and looks for them

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::mosquitto::free_port;
use super::program::Program;
use super::wait::wait_for;

/// Where nothing listens to a network, the port is a part of the socket's name alone.
const PORT: u16 = 5499;
/// Debian's user and group without rights, where root starts the server: PostgreSQL refuses root.
const NOBODY: (u32, u32) = (65_534, 65_534);
/// Settings of a server that tests are hard on: nothing is tuned, and a test needs many connections.
const SETTINGS: &str = "max_connections = 300\nfsync = on\nmax_wal_size = '256MB'\n";
/// Over the network a password is asked for; the hub's is [`PASSWORD`].
const RULES: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
/// The password of the user `hub`, where one is asked for.
pub const PASSWORD: &str = "geheim-i-huset";

/// A server.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    program: Option<Program>,
    port: u16,
}

/// A server's certificate and its key, PEM.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The certificate.
    pub certificate: &'a str,
    /// Its key.
    pub key: &'a str,
}

/// The folder with Debian's newest server programs.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|entry| entry.path().join("bin"));
    let number = |folder: &PathBuf| {
        let version = folder.parent()?.file_name()?.to_str()?;
        version.parse::<u32>().ok()
    };
    folders
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(number)
}

impl Server {
    /// Starts one. `None`, and a line that says so, where Debian's package is not installed.
    ///
    /// # Errors
    /// A server that does not start, with its last words.
    pub fn start(what: &str) -> Result<Option<Self>, String> {
        Self::start_with(what, None)
    }

    /// The same on a port of 127.0.0.1, where it asks the user `hub` for [`PASSWORD`].
    ///
    /// # Errors
    /// A server that does not start, with its last words.
    pub fn start_on_loopback(what: &str) -> Result<Option<Self>, String> {
        Self::start_with(what, Some(free_port()?))
    }

    fn start_with(what: &str, loopback: Option<u16>) -> Result<Option<Self>, String> {
        let Some(programs) = programs() else {
            let line =
                format!("!! {what}: NOT RUN, Debian's package postgresql is not installed\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return Ok(None);
        };
        // A socket's path has at most 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir_in("/tmp")
            .map_err(|error| error.to_string())?;
        let path = folder.path();
        let fault = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).map_err(fault)?;
        if is_root() {
            chown(path, Some(NOBODY.0), Some(NOBODY.1)).map_err(fault)?;
        }
        let mut server = Self {
            folder,
            programs,
            program: None,
            port: loopback.unwrap_or(PORT),
        };
        server.make_cluster(loopback.is_some())?;
        server.start_again()?;
        if loopback.is_some() {
            server.psql("postgres", &format!("ALTER USER hub PASSWORD '{PASSWORD}'"))?;
        }
        Ok(Some(server))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// One of the server's programs, as the user who runs the server.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                let (user, group) = NOBODY;
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
            false => Command::new(program),
        };
        command
            .current_dir(self.path())
            .env("LC_ALL", "C.UTF-8")
            .env("PGHOST", self.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "hub");
        command
    }

    fn make_cluster(&self, is_on_loopback: bool) -> Result<(), String> {
        let data = self.path().join("data");
        let mut initdb = self.command("initdb");
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", "hub", "-A", "trust", "-E", "UTF8", "--no-sync"])
            .arg("--locale=C.UTF-8");
        run("initdb", &mut initdb)?;
        let settings = data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&settings).map_err(|error| error.to_string())?;
        text.push_str(SETTINGS);
        let addresses = if is_on_loopback { "127.0.0.1" } else { "" };
        text.push_str(&format!(
            "unix_socket_directories = '{}'\nport = {}\nlisten_addresses = '{addresses}'\n",
            self.path().display(),
            self.port
        ));
        std::fs::write(&settings, text).map_err(|error| error.to_string())?;
        match is_on_loopback {
            true => {
                std::fs::write(data.join("pg_hba.conf"), RULES).map_err(|error| error.to_string())
            }
            false => Ok(()),
        }
    }

    /// Has it speak TLS from now on, and show this: every connection ends with its restart.
    ///
    /// # Errors
    /// The file system's, and a server that does not stop or start.
    pub fn show(&mut self, shown: Shown<'_>) -> Result<(), String> {
        let data = self.path().join("data");
        let fault = |error: std::io::Error| error.to_string();
        for (name, text) in [
            ("server.crt", shown.certificate),
            ("server.key", shown.key),
            ("postgresql.auto.conf", "ssl = on\n"),
        ] {
            let path = data.join(name);
            std::fs::write(&path, text).map_err(fault)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(fault)?;
            if is_root() {
                chown(&path, Some(NOBODY.0), Some(NOBODY.1)).map_err(fault)?;
            }
        }
        self.stop()?;
        self.start_again()
    }

    /// Starts it on what is there.
    ///
    /// # Errors
    /// A server that does not start, with its last words.
    pub fn start_again(&mut self) -> Result<(), String> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.path().join("data"));
        let mut program = Program::start("postgres", &mut command)?;
        wait_for("PostgreSQL answers", || {
            (!program.is_running() || self.psql("postgres", "SELECT 1").is_ok()).then_some(())
        })?;
        if program.ended().is_some() {
            program.kill();
            return Err(format!("postgres ended at once; {}", program.tail()));
        }
        self.program = Some(program);
        Ok(())
    }

    /// The server ends in an orderly way, and every connection with it (SIGINT: fast shutdown).
    ///
    /// # Errors
    /// A server that cannot be told.
    pub fn stop(&mut self) -> Result<(), String> {
        if let Some(mut program) = self.program.take() {
            program.signal(Signal::INT)?;
            program.ends()?;
        }
        Ok(())
    }

    /// Asks with the server's own client; what it answers, unaligned.
    ///
    /// # Errors
    /// What the client says.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.command("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database,
            "-c",
            sql,
        ]);
        run("psql", &mut psql)
    }

    /// Makes an empty database; its address.
    ///
    /// # Errors
    /// What the server says.
    pub fn database(&self, name: &str) -> Result<String, String> {
        self.psql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        )?;
        Ok(self.address(name))
    }

    /// The address of a database here.
    pub fn address(&self, name: &str) -> String {
        let folder = self.path().display().to_string().replace('/', "%2F");
        format!("postgres://hub@{folder}:{}/{name}", self.port)
    }

    /// The same over the network of this machine and TLS, by this name of the server.
    pub fn address_over_tls(&self, server: &str, name: &str) -> String {
        format!(
            "postgres://hub@{server}:{}/{name}?sslmode=require",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that cannot be told is killed with its value.
        let _ = self.stop();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(name: &str, command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
