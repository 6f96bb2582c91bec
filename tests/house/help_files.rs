//! The man pages and completions are there for every verb.
#![allow(clippy::disallowed_methods)]

#[path = "../../examples/help_files/made.rs"]
pub(super) mod made;

#[test]
fn every_verb_has_a_man_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    let number = made::write(folder.path()).expect("written");
    assert!(number > 30, "{number}");
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    for (page, says) in [
        ("man/booth-gateway-simulate.1", "disconnects_per_hour"),
        ("man/booth-gateway-fleet.1", "worst first"),
        ("man/booth-gateway-run.1", "SIGHUP"),
        ("man/booth-gateway-spool.1", "lsblk"),
        ("man/booth-hub-import.1", "receipt.json"),
        ("man/booth-hub-backup.1", "backup.json"),
        ("man/booth-hub-enrol.1", "first ready"),
        ("completions/booth-hub.bash", "enrol"),
        ("completions/_booth-gateway", "simulate"),
        ("completions/booth-hub.fish", "campaign"),
    ] {
        assert!(text(page).contains(says), "{page} does not say {says:?}");
    }
}
