//! The units are least privilege, by systemd's own measure.
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

/// Every service in a folder of the repository.
fn services(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "service"))
        .collect()
}

#[test]
fn the_exposure_of_every_unit_is_at_most_two() {
    let all = [
        services("systemd"),
        services("deb/booth-gateway"),
        services("image/system/etc/systemd/system"),
        services("image/screen/etc/systemd/system"),
    ]
    .concat();
    assert!(all.len() >= 14, "{all:?}");
    for unit in all {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(&unit)
            .output()
            .expect("systemd-analyze runs: is the package systemd installed?");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("Overall exposure level"))
            .unwrap_or_else(|| panic!("no verdict on {}", unit.display()));
        let after = line.split(": ").nth(1).expect("a figure");
        let exposure: f64 = after
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a figure");
        assert!(exposure <= 2.0, "{line}");
    }
}

#[test]
fn secrets_of_networks_lie_in_roots_own_folder_and_no_unit_may_write_all_of_the_data_partition() {
    for name in ["booth-provision.service", "booth-status.service"] {
        let text = std::fs::read_to_string(unit(name)).expect("the unit");
        assert!(text.contains(" --secrets /data/booth-network"), "{name}");
        assert!(text.contains(" --trust /data/booth-update\n"), "{name}");
        let writable = text
            .lines()
            .filter_map(|line| line.strip_prefix("ReadWritePaths="))
            .flat_map(str::split_whitespace);
        let writable: Vec<&str> = writable.collect();
        assert!(writable.contains(&"-/data/booth-network"), "{name}");
        assert!(writable.contains(&"-/data/booth-update"), "{name}");
        for all in ["/data", "-/data", "-/var/lib/booth-gateway/network"] {
            assert!(!writable.contains(&all), "{name} may write {all}");
        }
    }
    let country = std::fs::read_to_string(unit("booth-wifi-country.service")).expect("the unit");
    assert!(country.contains("ConditionPathExists=/data/booth-network/country\n"));
    assert!(country.contains("cat /data/booth-network/country"));
}

#[test]
fn both_units_are_watched_restarted_and_stay_down_only_on_a_bad_configuration() {
    for (name, user) in [
        ("booth-gateway.service", "booth-gateway"),
        ("booth-hub.service", "booth-hub"),
        ("booth-hub-ingest@.service", "booth-hub"),
    ] {
        let text = std::fs::read_to_string(unit(name)).expect("the unit");
        for line in [
            "Type=notify",
            "Restart=always",
            "RestartPreventExitStatus=78",
            "StartLimitIntervalSec=0",
            "StateDirectoryMode=0700",
            "ProtectSystem=strict",
            "NoNewPrivileges=yes",
            &format!("User={user}"),
            &format!("StateDirectory={user}"),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{name} lacks {line}"
            );
        }
        assert!(text.contains("\nWatchdogSec="), "{name} is not watched");
    }
}

#[test]
fn the_console_shows_the_booth_without_a_login_and_never_takes_a_device() {
    let text = std::fs::read_to_string(unit("booth-console.service")).expect("the unit");
    for line in [
        "ExecStart=/usr/bin/booth-gateway doctor --console --config /etc/booth-gateway/booth.toml",
        "User=booth-gateway",
        "Conflicts=getty@tty1.service",
        "StandardInput=null",
        "StandardOutput=tty",
        "TTYPath=/dev/tty1",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "DevicePolicy=closed",
    ] {
        assert!(text.lines().any(|found| found == line), "it lacks {line}");
    }
    let devices = text.lines().filter(|line| line.starts_with("DeviceAllow="));
    assert_eq!(devices.collect::<Vec<_>>(), ["DeviceAllow=/dev/tty1 rw"]);
    // Every directive is one that systemd knows.
    let checked = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(unit("booth-console.service"))
        .output()
        .expect("systemd-analyze runs: is the package systemd installed?");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    for wrong in [
        "Unknown key",
        "Unknown section",
        "Failed to parse",
        "Invalid",
    ] {
        assert!(!said.contains(wrong), "{said}");
    }
}

#[test]
fn an_update_is_begun_by_its_request_alone_and_judged_at_every_start() {
    let path = std::fs::read_to_string(unit("booth-update.path")).expect("the unit");
    let request = format!(
        "PathExists=/var/lib/booth-gateway/{}",
        booth_gateway::update::REQUEST
    );
    assert!(
        path.lines().any(|line| line == request),
        "it lacks {request}"
    );
    for name in [
        "booth-update.path",
        "booth-update.service",
        "booth-trial.service",
    ] {
        let checked = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(unit(name))
            .output()
            .expect("systemd-analyze runs: is the package systemd installed?");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        for wrong in ["Unknown", "Failed to parse", "Invalid"] {
            assert!(!said.contains(wrong), "{said}");
        }
    }
    let trial = std::fs::read_to_string(unit("booth-trial.service")).expect("the unit");
    // It must not wait for what may never come up in a version that is broken.
    for line in [
        "DefaultDependencies=no",
        "WantedBy=sysinit.target",
        "Restart=on-failure",
    ] {
        assert!(trial.lines().any(|found| found == line), "it lacks {line}");
    }
}

#[test]
fn a_restart_is_begun_by_a_request_in_ram_alone_and_not_often() {
    let path = std::fs::read_to_string(unit("booth-restart.path")).expect("the unit");
    let service = std::fs::read_to_string(unit("booth-restart.service")).expect("the unit");
    let has = |text: &str, line: &str| assert!(text.lines().any(|found| found == line), "{line}");
    has(&path, "PathExists=/run/booth-gateway/restart");
    // The request goes first: whatever becomes of the restart, it is not asked for again.
    has(
        &service,
        "ExecStartPre=/usr/bin/rm -f /run/booth-gateway/restart",
    );
    has(&service, "ExecStart=/usr/lib/booth/restart");
    has(&service, "StateDirectory=booth-restart");
    let gateway = std::fs::read_to_string(unit("booth-gateway.service")).expect("the unit");
    has(&gateway, "RuntimeDirectory=booth-gateway");
    for name in ["booth-restart.path", "booth-restart.service"] {
        let checked = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(unit(name))
            .output()
            .expect("systemd-analyze runs: is the package systemd installed?");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        for wrong in ["Unknown", "Failed to parse", "Invalid"] {
            assert!(!said.contains(wrong), "{said}");
        }
    }
}

#[test]
fn three_restarts_an_hour_are_the_most_over_the_restarts_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("bin")).expect("a folder");
    std::fs::create_dir(at("state")).expect("a folder");
    let stand_in = |name: &str, says: &str| {
        let place = at("bin").join(name);
        std::fs::write(&place, format!("#!/bin/sh\n{says}\n")).expect("written");
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).expect("mode");
    };
    let done = at("done");
    stand_in("systemctl", &format!("echo $* >>'{}'", done.display()));
    stand_in("sleep", "");
    let restarts = |ran: u64, kind: &str| {
        stand_in("cut", &format!("echo {ran}"));
        stand_in("stat", &format!("echo {kind}"));
        let before = std::fs::read_to_string(&done).unwrap_or_default();
        let path = std::env::var("PATH").expect("a PATH");
        let status = Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("image/system/usr/lib/booth/restart"))
            .env("PATH", format!("{}:{path}", at("bin").display()))
            .env("STATE_DIRECTORY", at("state"))
            .status()
            .expect("a shell");
        let asked = std::fs::read_to_string(&done).unwrap_or_default() != before;
        assert_eq!(status.success(), asked);
        asked
    };
    // Each number is how long the machine has run since the restart before.
    for ran in [7_000, 40, 50] {
        assert!(restarts(ran, "ext2/ext3"));
    }
    assert!(!restarts(60, "ext2/ext3"), "150 s since the first of three");
    assert!(!restarts(3_509, "ext2/ext3"));
    assert!(restarts(3_510, "ext2/ext3"));
    assert!(!restarts(30, "ext2/ext3"));
    assert!(restarts(3_600, "ext2/ext3"));
    // A count in RAM would be lost with the restart.
    std::fs::remove_file(at("state/restarts")).expect("there was one");
    assert!(!restarts(3_599, "tmpfs"));
    assert!(restarts(3_600, "overlayfs"));
    std::fs::remove_dir(at("state")).expect("nothing was noted");
    assert!(!restarts(3_599, "ext2/ext3"), "it cannot be written");
    assert!(restarts(3_600, "ext2/ext3"));
}

#[test]
fn a_stick_is_mounted_by_a_helper_that_the_gateway_alone_may_ask_and_that_may_do_nothing_else() {
    let socket = std::fs::read_to_string(unit("booth-stick.socket")).expect("the unit");
    let service = std::fs::read_to_string(unit("booth-stick.service")).expect("the unit");
    let has = |text: &str, line: &str| assert!(text.lines().any(|found| found == line), "{line}");
    let least = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";
    let config: booth_gateway::config::Config =
        booth_gateway::config::parse(least, "booth.toml").expect("a configuration");
    let asked = config.service.usb_stick;
    has(&socket, &format!("ListenStream={}", asked.display()));
    has(&socket, "SocketUser=booth-gateway");
    has(&socket, "SocketMode=0600");
    has(&service, "StandardInput=socket");
    has(&service, "CapabilityBoundingSet=CAP_SYS_ADMIN");
    has(&service, "ProtectSystem=strict");
    has(&service, "PrivateNetwork=yes");
    let devices = service
        .lines()
        .filter(|line| line.starts_with("DeviceAllow="));
    assert_eq!(devices.collect::<Vec<_>>(), ["DeviceAllow=block-sd rw"]);
    for name in ["booth-stick.socket", "booth-stick.service"] {
        let checked = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(unit(name))
            .output()
            .expect("systemd-analyze runs: is the package systemd installed?");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        for wrong in ["Unknown", "Failed to parse", "Invalid"] {
            assert!(!said.contains(wrong), "{said}");
        }
    }
}
