//! `booth-gateway spool`: what lies on a card outside its booth.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use booth_contract::BoothId;
use booth_gateway::drain::{self, DrainReceipt, Sender, Wanted};
use booth_gateway::pulled::{self, ExportError, PulledError};
use booth_host::meter::Meter;
use booth_host::{clock, complain, out, say};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{DrainArguments, LookArguments, SpoolVerb};
use crate::login;

/// Below so many bytes nobody waits long enough to be told how far it is.
const TOLD_FROM: u64 = 16 << 20;

/// The verb `spool`.
pub(super) fn run(verb: SpoolVerb) -> ExitCode {
    let done = match verb {
        SpoolVerb::List(arguments) => look(&arguments, false).map_err(ExportError::from),
        SpoolVerb::Verify(arguments) => look(&arguments, true).map_err(ExportError::from),
        SpoolVerb::Export { source, to, json } => export(&source, &to, json),
        SpoolVerb::Drain(arguments) => return send(*arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is there; whether it may count as done.
fn look(arguments: &LookArguments, proves: bool) -> Result<bool, PulledError> {
    let meter = Meter::new();
    let began = clock::mono_us();
    let spools = pulled::look(&arguments.source, proves, &mut |done, all| {
        if all >= TOLD_FROM {
            meter.tell("reading", done, all);
        }
    })?;
    let megabytes = spools.bytes as f64 / 1e6;
    // Bytes in a microsecond are megabytes in a second.
    let speed = spools.bytes as f64 / (clock::mono_us() - began).max(1) as f64;
    match arguments.json {
        true => say!("{:#}", pulled::json(&spools)),
        false => out::print(pulled::sentences(&spools)),
    }
    if proves && !arguments.json {
        match spools.is_whole() {
            true => say!(
                "Everything is whole: every checksum and every hash is right ({megabytes:.1} MB, {speed:.0} MB/s)."
            ),
            false => say!(
                "The rest is whole: every other checksum and hash is right ({megabytes:.1} MB, {speed:.0} MB/s)."
            ),
        }
    }
    Ok(!proves || spools.is_whole())
}

fn export(source: &Path, to: &Path, json: bool) -> Result<bool, ExportError> {
    let meter = Meter::new();
    let exported = pulled::export(source, to, &mut |doing, done, all| {
        if all >= TOLD_FROM {
            meter.tell(doing, done, all);
        }
    })?;
    let receipt = &exported.receipt;
    if json {
        out::print(String::from_utf8_lossy(&receipt.to_json()));
    } else {
        say!(
            "{} messages and votes, {} withdrawals, {:.1} MB are in {}, written, read back and synced.",
            receipt.clips.len(),
            receipt.withdrawals.len(),
            exported.bytes as f64 / 1e6,
            to.display()
        );
        for left in &receipt.left {
            say!("left: {}: {}", left.path, left.why);
        }
        say!("At the hub: booth-hub import {}", to.display());
        say!("Keep the card until the hub has said what it took.");
    }
    Ok(true)
}

fn send(arguments: DrainArguments) -> ExitCode {
    let is_json = arguments.json;
    let sent = wanted(arguments).and_then(|wanted| {
        let receipt = drained(&wanted).map_err(|why| why.to_string())?;
        Ok((receipt, wanted.receipt))
    });
    match sent {
        Ok((receipt, path)) => {
            match is_json {
                true => out::print(String::from_utf8_lossy(&receipt.to_json())),
                false => {
                    out::print(drain::sentences(&receipt));
                    say!("The receipt: {}", path.display());
                }
            }
            match receipt.is_all_there() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: DrainArguments) -> Result<Wanted, String> {
    let user = arguments.login.user.as_deref();
    let sender = Sender::of(user.unwrap_or_default())?;
    let withdrawals_of = arguments.booth.as_deref().map(BoothId::parse).transpose();
    let login = login::asked(arguments.login).login("");
    let usual = || format!("drained-{}.json", clock::wall().strftime("%Y%m%dT%H%M%SZ")).into();
    Ok(Wanted {
        source: arguments.source,
        login: login.map_err(|why| why.to_string())?,
        root: arguments.root,
        sender,
        withdrawals_of: withdrawals_of.map_err(|why| format!("--booth: {why}"))?,
        receipt: arguments.receipt.unwrap_or_else(usual),
        patience: Duration::from_secs(arguments.patience),
    })
}

fn drained(wanted: &Wanted) -> Result<DrainReceipt, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let meter = Meter::new();
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let mut tell = |doing, done, all| meter.tell(doing, done, all);
        Ok(drain::drain(wanted, &mut tell, stop).await?)
    })
}
