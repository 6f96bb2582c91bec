use super::*;

/// A folder with a `/proc` and a `/sys` of one's own.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().expect("a folder"));
        for (path, text) in files {
            tree.put(path, text);
        }
        tree
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// A file that is there and cannot be read, not even by root.
    fn unreadable(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_file() {
            fs::remove_file(&path).expect("removed");
        }
        fs::create_dir_all(path).expect("a folder in its place");
    }

    fn sensors(&self) -> Sensors {
        Sensors::under(self.0.path())
    }

    fn readings(&self) -> Readings {
        self.sensors().readings(self.0.path())
    }

    /// The block device that this tree's own folder is on, as the kernel links to it.
    fn block_device(&self, name: &str) {
        let device = fs::metadata(self.0.path()).expect("there").dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let home = format!("sys/devices/mmc0/block/mmcblk0/{name}");
        self.put(&format!("{home}/partition"), "3");
        let links = self.0.path().join("sys/dev/block");
        fs::create_dir_all(&links).expect("made");
        let target = self.0.path().join(home);
        std::os::unix::fs::symlink(target, links.join(format!("{major}:{minor}"))).expect("linked");
    }
}

/// Texts that are no number of the kernel's.
const RUBBISH: [&str; 6] = ["", "\n", "none", "NaN", "inf", "1e999"];

#[test]
fn this_machine_knows_its_memory_and_leaves_out_what_it_has_not() {
    let readings = Sensors::default().readings(Path::new("/"));
    assert!(readings.rss_mb.is_some_and(|mb| mb > 0.5));
    assert!(readings.mem_free_mb.is_some_and(|mb| mb > 1.0));
    assert!(readings.root_ro.is_some());
    assert!(
        readings
            .data_used_pct
            .is_some_and(|pct| (0.0..=100.0).contains(&pct))
    );
}

#[test]
fn a_machine_that_has_nothing_says_nothing() {
    let tree = Tree::new(&[]);
    let (sensors, nowhere) = (tree.sensors(), Path::new("/no/such/folder"));
    assert_eq!(sensors.readings(nowhere), Readings::default());
    assert_eq!(sensors.supply_files().look(), Supply::default());
    assert_eq!(sensors.watchdog_reset(), None);
    assert_eq!(sensors.is_read_only(tree.0.path()), None);
    assert_eq!(sensors.card_cid(tree.0.path()), None);
    assert_eq!(
        (
            sensors.hw_model(),
            sensors.hw_serial(),
            sensors.os_version(),
            sensors.mac()
        ),
        (None, None, None, None)
    );
}

#[test]
fn files_that_cannot_be_read_or_have_no_end_say_nothing() {
    let tree = Tree::new(&[("sys/class/hwmon/hwmon0/name", "rpi_volt\n")]);
    for path in [
        "proc/loadavg",
        "proc/meminfo",
        "proc/self/mountinfo",
        "proc/net/wireless",
        "sys/class/thermal/thermal_zone0/temp",
        "sys/class/hwmon/hwmon0/in0_lcrit_alarm",
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "sys/class/watchdog/watchdog0/bootstatus",
    ] {
        tree.unreadable(path);
    }
    tree.put("proc/self/status", b"VmRSS: \xff\xfe kB");
    tree.put("proc/self/io", "write_bytes: 1\n".repeat(100_000));
    let readings = tree.readings();
    assert_eq!(
        readings,
        Readings {
            data_used_pct: readings.data_used_pct,
            ..Readings::default()
        }
    );
    assert_eq!(tree.sensors().supply_files().look(), Supply::default());
    assert_eq!(tree.sensors().watchdog_reset(), None);
}

#[test]
fn the_hottest_zone_counts_and_what_no_silicon_can_be_does_not() {
    let zone = |n: usize| format!("sys/class/thermal/thermal_zone{n}/temp");
    let tree = Tree::new(&[(&zone(0), "48312\n"), (&zone(1), "61850\n")]);
    assert_eq!(tree.readings().cpu_temp_c, Some(61.85));
    tree.put(&zone(1), "4294967295\n");
    tree.put(&zone(2), "-274000\n");
    assert_eq!(tree.readings().cpu_temp_c, Some(48.312));
    for rubbish in RUBBISH {
        tree.put(&zone(0), rubbish);
        assert_eq!(tree.readings().cpu_temp_c, None, "{rubbish:?}");
    }
}

#[test]
fn load_memory_and_written_bytes_are_the_kernels_or_left_out() {
    let tree = Tree::new(&[
        ("proc/loadavg", "0.42 0.30 0.11 1/123 4567\n"),
        (
            "proc/meminfo",
            "MemTotal: 1000000 kB\nMemAvailable:   512000 kB\n",
        ),
        ("proc/self/status", "Name:\tx\nVmRSS:\t   10240 kB\n"),
        ("proc/self/io", "rchar: 1\nwrite_bytes: 12345678\n"),
    ]);
    let readings = tree.readings();
    assert_eq!(readings.load1, Some(0.42));
    assert_eq!(readings.mem_free_mb, Some(500.0));
    assert_eq!(readings.rss_mb, Some(10.0));
    assert_eq!(readings.written_mb, Some(12.3));
    for rubbish in RUBBISH {
        tree.put("proc/loadavg", rubbish);
        tree.put("proc/meminfo", format!("MemAvailable: {rubbish}"));
        tree.put("proc/self/status", format!("VmRSS: -{rubbish}"));
        tree.put("proc/self/io", "write_bytes: 99999999999999999999999");
        let readings = tree.readings();
        assert_eq!(
            (
                readings.load1,
                readings.mem_free_mb,
                readings.rss_mb,
                readings.written_mb
            ),
            (None, None, None, None),
            "{rubbish:?}"
        );
    }
}

#[test]
fn the_voltage_alarm_is_found_by_its_drivers_name_whatever_its_number() {
    let tree = Tree::new(&[
        ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
        ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n"),
        ("sys/class/hwmon/hwmon3/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon3/in0_lcrit_alarm", "0\n"),
    ]);
    let alarm = || tree.sensors().supply_files().look().alarm;
    assert_eq!(alarm(), Some(false));
    tree.put("sys/class/hwmon/hwmon3/in0_lcrit_alarm", "1\n");
    assert_eq!(alarm(), Some(true));
    for rubbish in RUBBISH.iter().chain(&["2", "-1", "0x1"]) {
        tree.put("sys/class/hwmon/hwmon3/in0_lcrit_alarm", rubbish);
        assert_eq!(alarm(), None, "{rubbish:?}");
    }
}

#[test]
fn the_firmwares_bits_are_found_on_every_raspberry_pi() {
    for soc in ["soc", "soc@107c000000"] {
        let path = format!("sys/devices/platform/{soc}/{soc}:firmware/get_throttled");
        let tree = Tree::new(&[(&path, "50005\n"), ("sys/devices/platform/sock/x", "")]);
        let bits = || tree.sensors().supply_files().look().throttled;
        assert_eq!(bits(), Some(0x5_0005), "{soc}");
        tree.put(&path, "0\n");
        assert_eq!(bits(), Some(0));
        for rubbish in RUBBISH[..5].iter().chain(&["-1", "123456789", "50005 x"]) {
            tree.put(&path, rubbish);
            assert_eq!(bits(), None, "{rubbish:?}");
        }
    }
}

#[test]
fn only_a_watchdog_that_can_know_says_whether_it_reset_the_machine() {
    let verdict = |watchdogs: &[(&str, &str)]| {
        let tree = Tree::new(&[]);
        for (n, (bootstatus, options)) in watchdogs.iter().enumerate() {
            let folder = format!("sys/class/watchdog/watchdog{n}");
            tree.put(&format!("{folder}/bootstatus"), bootstatus);
            if !options.is_empty() {
                tree.put(&format!("{folder}/options"), options);
            }
        }
        tree.sensors().watchdog_reset()
    };
    assert_eq!(verdict(&[("32\n", "0x81a0\n")]), Some(true));
    assert_eq!(verdict(&[("0\n", "0x81a0\n")]), Some(false));
    // The Raspberry Pi's driver has no such option: its 0 means nothing.
    assert_eq!(verdict(&[("0\n", "0x8180\n")]), None);
    // Kernels before 6.4 have no such file.
    assert_eq!(verdict(&[("0\n", "")]), None);
    assert_eq!(verdict(&[("32\n", "")]), Some(true));
    assert_eq!(
        verdict(&[("0\n", "0x8180\n"), ("0\n", "0x20\n")]),
        Some(false)
    );
    assert_eq!(
        verdict(&[("32\n", "0x20\n"), ("0\n", "0x20\n")]),
        Some(true)
    );
    // Started by hand, or too hot: other bits stand for other reasons.
    assert_eq!(verdict(&[("1\n", "0x20\n")]), Some(false));
    for rubbish in RUBBISH {
        assert_eq!(verdict(&[(rubbish, "0x20\n")]), None, "{rubbish:?}");
        assert_eq!(verdict(&[("0\n", rubbish)]), None, "{rubbish:?}");
    }
}

const TABLE: &str =
    "Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise\n";

#[test]
fn a_signal_is_a_level_in_dbm_or_left_out() {
    let signal = |lines: &str| {
        Tree::new(&[("proc/net/wireless", &format!("{TABLE}{lines}"))])
            .readings()
            .wifi_rssi_dbm
    };
    let wlan = |level: &str| format!(" wlan0: 0000   54.  {level}  -256        0      0\n");
    assert_eq!(signal(&wlan("-56.")), Some(-56.0));
    // The second radio counts where the first has no signal.
    assert_eq!(signal(&(wlan("0.") + &wlan("-71."))), Some(-71.0));
    for level in ["-256.", "0.", "70.", "NaN", "-1e9", "x", ""] {
        assert_eq!(signal(&wlan(level)), None, "{level:?}");
    }
    assert_eq!(signal(""), None);
}

#[test]
fn a_link_is_one_of_the_hardware() {
    let tree = Tree::new(&[
        ("sys/class/net/lo/operstate", "unknown"),
        ("sys/class/net/lo/carrier", "1"),
        ("sys/class/net/tun0/operstate", "up"),
        ("sys/class/net/eth0/operstate", "down\n"),
        ("sys/class/net/eth0/address", "b8:27:eb:00:00:01\n"),
        ("sys/class/net/eth0/device/vendor", ""),
    ]);
    assert_eq!(tree.readings().link_up, Some(false));
    assert_eq!(tree.sensors().mac(), None);
    tree.put("sys/class/net/eth0/operstate", "up\n");
    assert_eq!(tree.readings().link_up, Some(true));
    assert_eq!(tree.sensors().mac().as_deref(), Some("b8:27:eb:00:00:01"));
    tree.put("sys/class/net/eth0/operstate", "unknown\n");
    assert_eq!(tree.readings().link_up, Some(false));
    tree.put("sys/class/net/eth0/carrier", "1\n");
    assert_eq!(tree.readings().link_up, Some(true));
    tree.put("sys/class/net/eth0/operstate", "\u{0}rubbish");
    assert_eq!(tree.readings().link_up, Some(false));
}

#[test]
fn a_sandbox_that_sees_the_root_read_only_does_not_make_it_so() {
    let root_ro = |table: &str| {
        Tree::new(&[("proc/self/mountinfo", table)])
            .readings()
            .root_ro
    };
    // `ProtectSystem=strict` shows the root to a service like this.
    let sandbox = "90 60 179:2 / / ro,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n";
    assert_eq!(root_ro(sandbox), Some(false));
    let failed = "22 1 179:2 / / ro,relatime shared:1 - ext4 /dev/root ro\n";
    assert_eq!(root_ro(failed), Some(true));
    let newer = failed.replace("/root ro", "/root rw,errors=remount-ro,emergency_ro");
    assert_eq!(root_ro(&newer.replace("/ / ro", "/ / rw")), Some(true));
    assert_eq!(root_ro(&format!("{failed}{sandbox}")), Some(false));
    for rubbish in [
        "",
        "x",
        "22 1 179:2 / / rw",
        "22 1 179:2 / / rw - ext4",
        " - a b c",
    ] {
        assert_eq!(root_ro(rubbish), None, "{rubbish:?}");
    }
}

#[test]
fn the_spools_mount_decides_whether_it_can_be_written() {
    let tree = Tree::new(&[("spool dir/clips/x", "")]);
    let place = tree.0.path().join("spool dir");
    let point = place.display().to_string().replace(' ', "\\040");
    let is_read_only = |table: &str| {
        tree.put("proc/self/mountinfo", table);
        tree.sensors().is_read_only(&place.join("clips"))
    };
    let root = "22 1 179:2 / / ro - ext4 /dev/root ro\n";
    let data = |options: &str, file_system: &str| {
        format!("23 22 179:3 / {point} {options} shared:2 - ext4 /dev/data {file_system}\n")
    };
    assert_eq!(
        is_read_only(&(root.to_owned() + &data("rw,noatime", "rw"))),
        Some(false)
    );
    assert_eq!(
        is_read_only(&(root.to_owned() + &data("ro,noatime", "rw"))),
        Some(true)
    );
    assert_eq!(
        is_read_only(&(root.to_owned() + &data("rw", "ro,errors=x"))),
        Some(true)
    );
    for failed in ["rw,errors=remount-ro,emergency_ro", "rw,shutdown"] {
        assert_eq!(is_read_only(&data("rw", failed)), Some(true), "{failed}");
    }
    assert_eq!(
        is_read_only(&data("rw,errors=remount-ro", "rw,error")),
        Some(false)
    );
    // The later mount hides the earlier one; a folder with a similar name is another folder.
    let both = data("ro", "ro") + &data("rw", "rw");
    assert_eq!(is_read_only(&both), Some(false));
    assert_eq!(
        is_read_only(&data("ro", "ro").replace(&point, &format!("{point}/cli"))),
        None
    );
    assert_eq!(is_read_only(root), Some(true));
    assert_eq!(is_read_only("rubbish"), None);
    assert_eq!(
        tree.sensors().is_read_only(Path::new("/no/such/folder")),
        None
    );
}

#[test]
fn ext4s_own_errors_are_those_of_the_spools_partition() {
    let tree = Tree::new(&[("sys/fs/ext4/mmcblk0p2/errors_count", "7\n")]);
    assert_eq!(tree.readings().ext4_errors, None);
    tree.block_device("mmcblk0p3");
    assert_eq!(tree.readings().ext4_errors, None);
    tree.put("sys/fs/ext4/mmcblk0p3/errors_count", "4\n");
    assert_eq!(tree.readings().ext4_errors, Some(4));
    for rubbish in RUBBISH.iter().chain(&["-1", "99999999999999999999999"]) {
        tree.put("sys/fs/ext4/mmcblk0p3/errors_count", rubbish);
        assert_eq!(tree.readings().ext4_errors, None, "{rubbish:?}");
    }
}

#[test]
fn the_cards_own_number_is_32_hex_digits_or_none() {
    let tree = Tree::new(&[]);
    tree.block_device("mmcblk0p3");
    let cid = || {
        tree.sensors()
            .card_cid(&tree.0.path().join("not/there/yet"))
    };
    assert_eq!(cid(), None);
    let number = "035344534333324780aabbccdd012345";
    tree.put(
        "sys/devices/mmc0/block/mmcblk0/device/cid",
        format!("{number}\n"),
    );
    assert_eq!(cid().as_deref(), Some(number));
    for rubbish in [
        "03534453433332478",
        "zz5344534333324780aabbccdd012345",
        "\u{ff}",
    ] {
        tree.put("sys/devices/mmc0/block/mmcblk0/device/cid", rubbish);
        assert_eq!(cid(), None, "{rubbish:?}");
    }
}

#[test]
fn how_full_a_file_system_is_leaves_out_what_is_reserved_for_root() {
    assert_eq!(used_pct(1000, 400, 350), Some(63.2));
    assert_eq!(used_pct(1000, 0, 0), Some(100.0));
    assert_eq!(used_pct(1000, 1000, 1000), Some(0.0));
    assert_eq!(used_pct(u64::MAX, 1, 1), Some(100.0));
    // File systems without blocks, and ones that contradict themselves.
    assert_eq!(used_pct(0, 0, 0), None);
    assert_eq!(used_pct(10, 20, 20), None);
    assert_eq!(used_pct_at(Path::new("/no/such/folder")), None);
}

#[test]
fn the_machine_says_who_it_is() {
    let tree = Tree::new(&[
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0"),
        ("proc/device-tree/serial-number", "10000000abcdef01\0"),
        ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian 13\"\n"),
    ]);
    let sensors = tree.sensors();
    assert_eq!(
        sensors.hw_model().as_deref(),
        Some("Raspberry Pi 4 Model B Rev 1.5")
    );
    assert_eq!(sensors.hw_serial().as_deref(), Some("10000000abcdef01"));
    assert_eq!(sensors.os_version().as_deref(), Some("Debian 13"));
}
