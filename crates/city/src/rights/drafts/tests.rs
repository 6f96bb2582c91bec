//! The drafts say what is in force, and mark what is missing.

use super::*;
use crate::people::Right;

fn account(roles: &[Role]) -> Account {
    Account {
        id: 1,
        name: "anna".into(),
        shown_name: "Anna <b>".into(),
        roles: roles.iter().copied().collect(),
        languages: vec!["da".into()],
        has_password: true,
        is_elsewhere: false,
        closed_at: None,
        campaigns: Vec::new(),
    }
}

fn processing<'a>(
    city: &'a CityConfig,
    accounts: &'a [Account],
    campaigns: &'a [Campaign],
) -> Processing<'a> {
    Processing {
        city,
        keys: Keys::Elsewhere,
        recipients: 2,
        way: Way::Proxy,
        booths: &[],
        campaigns,
        accounts,
        day: "2026-11-29",
    }
}

fn both(processing: &Processing<'_>, language: &str) -> Drafts {
    drafts(processing, &Words::read(None).expect("words"), language)
}

#[test]
fn no_gap_is_left_in_any_language_and_what_is_missing_is_marked() {
    let city = CityConfig::default();
    for (language, mark) in [("da", "SKAL UDFYLDES"), ("en", "TO BE FILLED IN")] {
        let drafts = both(&processing(&city, &[], &[]), language);
        for text in [&drafts.impact, &drafts.record] {
            assert!(
                !text.contains("{{") && !text.contains("}}"),
                "{language}: {text}"
            );
            assert!(!text.contains("drafts-"), "{language}: {text}");
            assert!(text.matches(mark).count() > 5, "{language}");
        }
    }
}

#[test]
fn the_drafts_follow_the_configuration() {
    let mut city = CityConfig::default();
    city.retention.waiting_days = 47;
    city.transcribe.command = vec!["/usr/local/bin/draft".into(), "{file}".into()];
    city.desk.second_listener = true;
    let mut partner = account(&[Role::Partner]);
    partner.campaigns = vec![("plads".into(), "2027-06-30".into(), [Right::Listen].into())];
    let mut closed = account(&[Role::Moderator]);
    closed.closed_at = Some("2026-01-01T00:00:00Z".into());
    let accounts = [account(&[Role::Moderator]), closed, partner];
    let campaigns = [Campaign {
        id: "plads".into(),
        title: "The {{fill}} square".into(),
        from: Some("2026-08-01T00:00".into()),
        until: None,
        booths: None,
        languages: vec!["en".into()],
        questions: Vec::new(),
        notice: [("en".to_owned(), "The city and *Partner* listen.".to_owned())].into(),
        children: "not_published".into(),
    }];
    let text = both(&processing(&city, &accounts, &campaigns), "en").impact;
    for wanted in [
        "| a message without a decision, from its arrival on | 47 |",
        "draft",
        "Two people must agree",
        "Nothing of a child's message is published",
        "\\*Partner\\* listen.",
        "The \\{\\{fill\\}\\} square",
        "has no private key",
        "Anna \\<b\\> (plads)",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let moderators = text.lines().find(|line| line.starts_with("| Moderator"));
    assert!(
        moderators.is_some_and(|line| line.contains("| 1 |")),
        "a closed account listens to nothing: {text}"
    );
}

#[test]
fn what_is_dangerous_is_said() {
    let city = CityConfig::default();
    let mut processing = processing(&city, &[], &[]);
    processing.keys = Keys::None;
    let text = both(&processing, "en").impact;
    assert!(text.contains("No key is configured"));
    assert!(text.contains("There is no account yet"));
    assert!(text.contains("Nobody is told when somebody may be in danger"));
}
