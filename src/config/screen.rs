//! `[screen]` of booth.toml: the page for a screen in the booth.

use std::net::SocketAddr;

use serde::Deserialize;

use booth_host::config_file::Faults;

/// The page that `booth-gateway run` serves to a browser on the same machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Screen {
    /// Whether the booth has a screen.
    pub enabled: bool,
    /// Where the page is served: an address of loopback, with its port.
    pub listen: String,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: "127.0.0.1:8088".into(),
        }
    }
}

impl Screen {
    /// Where the page is served, if the booth has a screen.
    ///
    /// # Errors
    /// What is wrong with `listen`.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        let listen = &self.listen;
        let address: SocketAddr = listen.parse().map_err(|_| {
            format!("{listen:?} is no address with a port; write \"127.0.0.1:8088\"")
        })?;
        if !address.ip().to_canonical().is_loopback() {
            return Err(format!(
                "{listen:?} can be reached from other machines: the page shows what is said in the booth, and a citizen's receipt; use \"127.0.0.1:8088\""
            ));
        }
        if address.port() == 0 {
            let why =
                "port 0 is another one at each start, and the browser has to know it; use 8088";
            return Err(why.into());
        }
        Ok(self.enabled.then_some(address))
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if let Err(why) = self.address() {
            faults.that("[screen] listen", why);
        }
    }
}
