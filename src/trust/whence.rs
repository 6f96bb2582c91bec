//! From where an update may be fetched when the centre has sent its address. Pure.
//!
//! Owns: which schemes, hosts and addresses root's updater connects to, at the first address and at each redirect:
//! `cmd/update` must not become a means to look around in the booth's network. Never does: connect, or refuse an address
//! that a technician names at the booth.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::EntryError;

/// Most entries of `[update] allow`.
pub(super) const MOST: usize = 32;

/// Why the updater does not ask an address that the centre has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum NotAdmitted {
    #[error("is not https://; use https://, or name its host in [update] allow of booth.toml")]
    Open,
    #[error(
        "leads into a network that is not public; name its host or network in [update] allow of booth.toml"
    )]
    Inside,
}

/// The exceptions from the rule that an update comes by `https://` from a public address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whence {
    entries: Vec<Entry>,
    is_anywhere: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// Every address that begins with the same bits.
    Network(IpAddr, u8),
    /// A host by its name, at any address.
    Host(String),
}

impl Whence {
    /// Reads the entries of `[update] allow`: a host's name, an address, or a network such as `10.0.0.0/8` (RFC 4632 §3.1).
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, EntryError> {
        if texts.len() > MOST {
            return Err(EntryError::TooManyPlaces);
        }
        let entries = texts.iter().map(|text| {
            let text = text.as_ref().trim();
            entry(text).ok_or_else(|| EntryError::NoPlace(text.chars().take(70).collect()))
        });
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
            is_anywhere: false,
        })
    }

    /// Without limits, for an address that a person names at the booth.
    pub fn anywhere() -> Self {
        Self {
            entries: Vec::new(),
            is_anywhere: true,
        }
    }

    /// Whether `host` may be asked, as far as its name and the scheme decide that; the addresses of a name are checked
    /// later.
    pub fn admits(&self, is_https: bool, host: &str) -> Result<(), NotAdmitted> {
        let address = bare(host).parse::<IpAddr>().ok();
        let is_named = self.is_anywhere
            || self.names(host)
            || address.is_some_and(|address| self.holds(address));
        if !is_https && !is_named {
            return Err(NotAdmitted::Open);
        }
        match address {
            Some(address) => self.admits_address(host, address),
            None => Ok(()),
        }
    }

    /// Whether one of the addresses of `host` may be connected to.
    pub fn admits_address(&self, host: &str, address: IpAddr) -> Result<(), NotAdmitted> {
        if self.is_anywhere || is_public(address) || self.names(host) || self.holds(address) {
            return Ok(());
        }
        Err(NotAdmitted::Inside)
    }

    fn names(&self, host: &str) -> bool {
        let named =
            |entry: &Entry| matches!(entry, Entry::Host(name) if name.eq_ignore_ascii_case(host));
        self.entries.iter().any(named)
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = unwrapped(address);
        self.entries.iter().any(|entry| match entry {
            Entry::Network(network, bits) => is_in(address, *network, *bits),
            Entry::Host(_) => false,
        })
    }
}

/// A host without the brackets of an IPv6 address in a URI (RFC 3986 §3.2.2).
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn entry(text: &str) -> Option<Entry> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    if let Ok(address) = bare(address).parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| {
            bits.parse().ok().filter(|bits| *bits <= most)
        })?;
        return Some(Entry::Network(address, bits));
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_name = bits.is_none() && (1..=253).contains(&text.len()) && text.bytes().all(is_letter);
    // A text that looks like an address and is none would never match.
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_name && has_letter).then(|| Entry::Host(text.to_owned()))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, width: u8| {
        let free = u32::from(width - bits.min(width));
        a.checked_shr(free).unwrap_or(0) == b.checked_shr(free).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            same(u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

/// The IPv4 address inside an IPv6 address that leads to it (RFC 4291 §2.5.5.2, RFC 6052 §2.1, RFC 3056 §2); any other
/// address unchanged.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let parts = six.segments();
    let four = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            four(high, low)
        }
        [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

/// Whether an address can belong to a host on the public Internet (the special-purpose registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    let special_4 = |four: Ipv4Addr| {
        let [a, b, c, _] = four.octets();
        a == 0
            || a >= 224
            || four.is_private()
            || four.is_loopback()
            || four.is_link_local()
            || four.is_documentation()
            || (a == 100 && (64..128).contains(&b))
            || (a == 198 && (18..20).contains(&b))
            || (a == 192 && b == 0 && c == 0)
            || (a == 192 && b == 88 && c == 99)
    };
    let special_6 = |six: Ipv6Addr| {
        let first = six.segments()[0];
        // Global unicast is 2000::/3 (RFC 4291 §2.4); within it, the ranges for documents and tunnels belong to no host.
        first & 0xe000 != 0x2000
            || (first == 0x2001 && six.segments()[1] & 0xfe00 == 0)
            || (first == 0x2001 && six.segments()[1] == 0xdb8)
    };
    match unwrapped(address) {
        IpAddr::V4(four) => !special_4(four),
        IpAddr::V6(six) => !special_6(six),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whence(texts: &[&str]) -> Whence {
        Whence::parse(texts).expect("entries")
    }

    #[test]
    fn without_an_entry_only_public_hosts_are_asked_and_only_over_https() {
        let none = whence(&[]);
        for public in ["updates.example", "93.184.216.34", "[2606:2800::1]"] {
            assert_eq!(none.admits(true, public), Ok(()), "{public}");
            let refused = none.admits(false, public).expect_err("http").to_string();
            assert!(refused.contains("[update] allow"), "{refused}");
        }
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "192.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:a00:1::]",
            "[2001:db8::1]",
        ] {
            let refused = none.admits(true, inside).expect_err(inside).to_string();
            assert!(refused.contains("not public"), "{inside}: {refused}");
        }
        // A name by itself decides nothing; the address that it leads to does.
        let inside = "192.168.1.1".parse().expect("an address");
        assert!(none.admits_address("updates.example", inside).is_err());
    }

    #[test]
    fn what_the_technician_allows_is_allowed_and_its_neighbours_are_not() {
        let some = whence(&[
            "10.0.2.0/24",
            "Updates.city.example",
            "fd00:1::/32",
            "192.168.7.7",
        ]);
        for allowed in [
            "10.0.2.2",
            "10.0.2.255",
            "updates.city.example",
            "[fd00:1:2::3]",
            "192.168.7.7",
            "[::ffff:10.0.2.9]",
        ] {
            assert_eq!(some.admits(false, allowed), Ok(()), "{allowed}");
        }
        for refused in [
            "10.0.3.1",
            "other.city.example",
            "[fd00:2::3]",
            "192.168.7.8",
        ] {
            assert!(some.admits(false, refused).is_err(), "{refused}");
        }
        let inside: IpAddr = "172.16.0.1".parse().expect("an address");
        assert_eq!(some.admits_address("updates.city.example", inside), Ok(()));
        assert!(
            some.admits_address("updates.city.example.evil.example", inside)
                .is_err()
        );
        assert_eq!(whence(&["0.0.0.0/0"]).admits(false, "10.9.9.9"), Ok(()));
        assert_eq!(Whence::anywhere().admits(false, "127.0.0.1"), Ok(()));
    }

    #[test]
    fn what_is_no_entry_is_named() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "a b",
            "http://x",
            "x/8",
            "10.0.0.0.0",
            "1.2.3",
        ] {
            let said = Whence::parse(&[bad]).expect_err("refused").to_string();
            assert!(
                said.contains("[update] allow") && said.contains("write one like"),
                "{bad}: {said}"
            );
        }
        assert!(Whence::parse(&["x"; MOST + 1]).is_err());
    }
}
